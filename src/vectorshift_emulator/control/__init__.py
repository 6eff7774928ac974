"""The control surface: what a test may see and change, as routes and as Python calls."""
