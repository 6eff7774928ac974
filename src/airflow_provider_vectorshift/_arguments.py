"""What an argument is where the DAG is read: known already, or only when the task runs."""

import ast
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, SupportsFloat

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


def name_of(task: "BaseOperator") -> str:
    """How a task is named in a refusal: its class and its id."""
    return f"{type(task).__name__} {task.task_id!r}"


def is_late(value: Any) -> bool:
    """Whether a value is another task's result, a mapped one, or made by a function when it is rendered."""
    return callable(value) or hasattr(value, "iter_references")


def is_literal(value: Any) -> bool:
    """Whether a value is known where the DAG is read: no template in it, and nothing late."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(map(is_literal, value.values()))
    if isinstance(value, Sequence):
        return all(map(is_literal, value))
    return not is_late(value)


def check_connection(name: str, conn_id: Any) -> None:
    """Raise ValueError, a sentence that begins with `name`, for what can be no connection's id."""
    if not is_late(conn_id) and not (isinstance(conn_id, str) and conn_id.strip()):
        raise ValueError(
            f"{name}: vectorshift_conn_id= is the id of an Airflow connection, not {conn_id!r}."
        )


def check_flags(task: "BaseOperator", *arguments: str) -> None:
    """Raise ValueError, a sentence that names the task, for a flag that is not True or False."""
    for argument in arguments:
        if not isinstance(value := getattr(task, argument), bool):
            raise ValueError(f"{name_of(task)}: {argument}= is True or False, not {value!r}.")


def seconds(name: str, value: Any, *, above_0: bool = True) -> float:
    """A duration, a timedelta or a number of seconds, in seconds.

    Raises ValueError, naming the argument, for what is not one.
    """
    number = math.nan
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, SupportsFloat) and not isinstance(value, bool):
        number = float(value)
    if not (math.isfinite(number) and (number > 0 if above_0 else number >= 0)):
        least = "above 0" if above_0 else "of 0 or more"
        raise ValueError(f"{name}= is a timedelta or a number of seconds {least}, not {value!r}.")
    return number


def as_json(value: Any) -> Any:
    """A query, a rule or a list as JSON values, which templates and serialization can carry.

    It may be given as a text of JSON, as `{{ params.query | tojson }}` comes out, or of Python's
    literals, as `{{ params.query }}` does, where these are JSON values. Any other text, such as a
    template that is not filled in yet, is returned as it is.
    """
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            literal = ast.literal_eval(value.strip())
            if (read := json.loads(json.dumps(literal, allow_nan=False))) == literal:
                return read
    to_dict = getattr(value, "to_dict", None)
    return value if to_dict is None else to_dict()
