"""Mapped tasks and what they write to.

The tasks of an `expand` share their data interval. Writing a file or the interval of a table replaces
what was there, so two of them with one target would leave the rows of whichever came last.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import name_of
from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

_OWN = re.compile(r"map_index|\btask\.")
"""What a template has to mention to come out differently in each mapped task."""


def require_own_target(
    context: Mapping[str, Any], task: "BaseOperator", targets: Sequence[str]
) -> None:
    """Raise `SpecError` when `task` is one of several mapped tasks that would write to one target.

    `targets` are the names of the arguments that say where it writes.
    """
    if getattr(context.get("ti"), "map_index", -1) < 0:
        return
    defined = context["dag"].get_task(task.task_id)
    for name in targets:
        if not _is_own(defined, name):
            raise SpecError(
                f"{name_of(task)}: it is mapped, and {name}= is the same for all of its tasks, so each would "
                f"replace the rows of the one before. Map {name}= too, with expand_kwargs, or name "
                "what differs in its template, such as {{ task.query.object_id }}."
            )


def _is_own(defined: Any, name: str) -> bool:
    expanded = getattr(getattr(defined, "expand_input", None), "value", None)
    if expanded is None:  # a plain task in a mapped group
        given = getattr(defined, name)
    elif name in defined.partial_kwargs:
        given = defined.partial_kwargs[name]
    else:  # expand() makes every combination of what it maps, expand_kwargs() only those given
        return not isinstance(expanded, Mapping) or len(expanded) == 1
    return not isinstance(given, str) or _OWN.search(given) is not None
