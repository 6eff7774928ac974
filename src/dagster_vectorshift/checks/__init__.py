"""Checks of pipeline health, and of its being on time."""
