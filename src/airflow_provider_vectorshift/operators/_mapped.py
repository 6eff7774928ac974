"""Mapped tasks and what they write to.

The tasks of an `expand` share their data interval. Writing a file or the interval of a table replaces
what was there, so two of them with one target would leave the rows of whichever came last. Tasks that
are mapped over windows may share a table: each replaces its own, and the table's ledger refuses
another query's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import is_late, name_of
from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

_WINDOW = frozenset({"start", "end", "lookback"})

_HINTS = {
    "table": " One table holds several queries with source=, mapped as well. Tasks that are mapped over "
    "start= and end= may share it as they are."
}

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
                f"what differs in its template, such as {{{{ task.query.object_id }}}}.{_HINTS.get(name, '')}"
            )


def _is_own(defined: Any, name: str) -> bool:
    if name == "table" and _mapped_names(defined) & {*_WINDOW, "source"}:
        return True
    expanded = getattr(getattr(defined, "expand_input", None), "value", None)
    if expanded is None:  # a plain task in a mapped group
        given = getattr(defined, name)
    elif name in defined.partial_kwargs:
        given = defined.partial_kwargs[name]
    else:  # expand() makes every combination of what it maps, expand_kwargs() only those given
        return not isinstance(expanded, Mapping) or len(expanded) == 1
    return not isinstance(given, str) or _OWN.search(given) is not None


def _mapped_names(defined: Any) -> set[str]:
    """The arguments that come out differently in each task."""
    expanded = getattr(getattr(defined, "expand_input", None), "value", None)
    if expanded is None:  # a plain task in a mapped group
        return {name for name in (*_WINDOW, "source") if _varies(getattr(defined, name, None))}
    known = [expanded] if isinstance(expanded, Mapping) else expanded
    each = (
        [set(given) for given in known if isinstance(given, Mapping)] if _is_listed(known) else []
    )
    return set.union(*each) if each else set()


def _is_listed(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _varies(value: Any) -> bool:
    return is_late(value) or (isinstance(value, str) and _OWN.search(value) is not None)
