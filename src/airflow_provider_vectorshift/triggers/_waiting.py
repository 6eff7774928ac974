"""What triggers that wait for one thing have in common."""

import inspect
from datetime import timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger

GRACE = timedelta(seconds=60)
"""What a trigger has to report its own timeout, before the scheduler steps in for it."""


class WaitingTrigger(BaseTrigger):
    """A trigger that keeps each of its arguments under the argument's name."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        arguments = {
            each.name: getattr(self, each.name)
            for kind in type(self).__mro__
            if issubclass(kind, WaitingTrigger) and "__init__" in vars(kind)
            for each in inspect.signature(kind.__init__).parameters.values()
            if each.kind is each.KEYWORD_ONLY
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments
