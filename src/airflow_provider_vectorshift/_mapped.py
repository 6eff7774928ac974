"""Mapped tasks: the tasks of one `expand` run beside each other over one data interval, and must not share a target."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_vectorshift._arguments import is_late, name_of
from airflow_provider_vectorshift._landing import as_text
from vectorshift_orchestration.errors import SpecError

_OWN = re.compile(r"map_index|\btask\.")
"""What a template has to mention to differ between mapped tasks."""


def require_own_target(
    task: Any,
    context: Mapping[str, Any],
    name: str,
    *,
    example: str,
    unless: Sequence[str] = (),
    hint: str = "",
) -> None:
    """Raise `SpecError` when other tasks mapped from the same operator would write to the same place.

    Writing replaces what is there, so of two tasks with one target only the last one's content would
    remain.

    Args:
        task: the task that runs.
        context: of its run.
        name: the argument that names the target; without a value there is nothing to check.
        example: what the target's template can name, such as `task.query.object_id`.
        unless: arguments that keep the tasks apart within one target, when they are mapped.
        hint: what else a user can do, after a space.
    """
    if getattr(context.get("ti"), "map_index", -1) < 0 or getattr(task, name) is None:
        return
    defined = context["dag"].get_task(task.task_id)
    if not _is_own(defined, name) and not any(_differs(defined, each) for each in unless):
        raise SpecError(
            f"{name_of(task)}: it is mapped, and {name}= is the same for all of its tasks, so each "
            f"would replace what the previous one wrote. Map {name}= too, with expand_kwargs, or name "
            f"what differs in its template, such as {{{{ {example} }}}}.{hint}"
        )


def _is_own(defined: Any, name: str) -> bool:
    """Whether each of the mapped tasks has its own value of an argument."""
    expanded = _expanded(defined)
    if expanded is None or name in defined.partial_kwargs:
        return _varies(_fixed(defined, name))
    # expand() makes every combination of what it maps, expand_kwargs() only those given
    return not isinstance(expanded, Mapping) or len(expanded) == 1


def _differs(defined: Any, name: str) -> bool:
    """Whether some of the mapped tasks are known to differ in an argument."""
    expanded = _expanded(defined)
    if isinstance(expanded, Mapping):
        return name in expanded
    if isinstance(expanded, Sequence) and any(
        isinstance(each, Mapping) and name in each for each in expanded
    ):
        return True
    return _varies(_fixed(defined, name))


def _expanded(defined: Any) -> Any:
    """What `expand` or `expand_kwargs` maps; None for a plain task in a mapped group."""
    return getattr(getattr(defined, "expand_input", None), "value", None)


def _fixed(defined: Any, name: str) -> Any:
    """An argument that is written once for all of the mapped tasks."""
    if _expanded(defined) is None:
        return getattr(defined, name, None)
    return defined.partial_kwargs.get(name)


def _varies(value: Any) -> bool:
    value = as_text(value)
    return is_late(value) or (isinstance(value, str) and _OWN.search(value) is not None)
