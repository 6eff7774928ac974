"""The front page: what the emulator holds and does, for a browser."""
