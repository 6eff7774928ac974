"""How long the scheduler leaves a trigger to itself."""

from datetime import timedelta

GRACE = timedelta(seconds=60)
"""What a trigger has to report its own timeout, before the scheduler steps in for it."""
