"""Arguments when the DAG is parsed: which are known already, and which only when the task runs."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vectorshift.errors import AnalyticsInvalidQuery
from vectorshift_orchestration.errors import OrchestrationError, SpecError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


_INHERITED = (
    *("query", "start", "end", "lookback", "vectorshift_conn_id"),
    *("destination", "table", "sql_conn_id", "duckdb_path", "lake"),
    *("source", "replace_other", "replace_characters"),
)


@contextmanager
def checking(name: str, arguments: str = "") -> Iterator[None]:
    """Turn an error about a task, or about its arguments, into a `SpecError` that names them."""
    try:
        yield
    except (ValueError, OrchestrationError, AnalyticsInvalidQuery) as problem:
        message = f"{arguments} cannot be used. {problem}" if arguments else problem
        raise SpecError(f"{name}: {message}") from problem


def inherited(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a base class, out of the `locals()` of an operator's `__init__`.

    The signature repeats them so that editors and `help` show them; a base class keeps them.
    """
    return {name: scope[name] for name in _INHERITED if name in scope}


def name_of(task: "BaseOperator") -> str:
    """The name of a task in an error: its class and its id."""
    return f"{type(task).__name__} {task.task_id!r}"


def is_late(value: Any) -> bool:
    """Whether a value is another task's result, a mapped one, or made by a function when it is rendered."""
    return callable(value) or hasattr(value, "iter_references")


def is_literal(value: Any) -> bool:
    """Whether a value is known when the DAG is parsed: it has no template and nothing late."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(map(is_literal, value.values()))
    if isinstance(value, Sequence):
        return all(map(is_literal, value))
    return not is_late(value)


def check_connection(name: str, conn_id: Any) -> None:
    """Raise `SpecError`, a sentence that begins with `name`, for a value that cannot be a connection's id."""
    if not is_late(conn_id) and not (isinstance(conn_id, str) and conn_id.strip()):
        raise SpecError(
            f"{name}: vectorshift_conn_id= is the id of an Airflow connection, not {conn_id!r}."
        )


def execution_left(task: "BaseOperator", context: Mapping[str, Any]) -> float:
    """Seconds of `execution_timeout`, left, which Airflow does not enforce while a task is deferred."""
    if task.execution_timeout is None:
        return math.inf
    began = getattr(context.get("ti"), "start_date", None)
    used = 0.0 if began is None else max(time.time() - began.timestamp(), 0.0)
    return task.execution_timeout.total_seconds() - used


def check_flags(task: "BaseOperator", *arguments: str) -> None:
    """Raise `SpecError`, a sentence that names the task, for a flag that is not True or False."""
    for argument in arguments:
        if not isinstance(value := getattr(task, argument), bool):
            raise SpecError(f"{name_of(task)}: {argument}= is True or False, not {value!r}.")
