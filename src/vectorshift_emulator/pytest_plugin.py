"""The emulator as pytest fixtures, for users' own tests."""
