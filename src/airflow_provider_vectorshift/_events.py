"""The events of triggers, checked by the tasks that are resumed with them."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from vectorshift_orchestration.exports.events import read_event
from vectorshift_orchestration.watching import read_breach

_Event = TypeVar("_Event")


def _read(read: Callable[[Any], _Event], trigger: str, value: Any) -> _Event:
    try:
        return read(value)
    except ValueError:
        raise ValueError(
            f"The task was resumed with something that is not an event of {trigger}. Clear the "
            "task to run it again."
        ) from None


read_export_event = partial(_read, read_event, "VectorShiftExportTrigger")
"""The event that a trigger sent. Raises ValueError for anything else."""

read_breach_event = partial(_read, read_breach, "VectorShiftBreachTrigger")
"""The same of a wait for a breach."""
