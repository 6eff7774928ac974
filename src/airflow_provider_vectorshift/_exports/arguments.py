"""What an export's arguments may be, told where the DAG is read, and again once templates are filled in."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._landing import Landing, is_late
from airflow_provider_vectorshift.operators._windowed import is_literal
from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from airflow_provider_vectorshift.operators.export import VectorShiftExportOperator
    from vectorshift import Client
    from vectorshift.analytics import Query

_SOONEST, _LATEST = "1970-01-01T00:00:00Z", "2199-12-31T00:00:00Z"
_PARQUET = "parquet"


def check(task: "VectorShiftExportOperator", name: str) -> None:
    """Raise ValueError with one sentence that begins with `name` and has the argument.

    What holds a template, or comes from another task, is let pass: it is checked when it is known.
    """
    Landing(task.destination, task.table, task.sql_conn_id, task.duckdb_path).check(name)
    with named(name):
        _check_flags(task)
        _check_numbers(task)
        _check_connection(task.vectorshift_conn_id)
        _check_format(task.file_format)
        _check_file(task)
        _check_lookback(task)
        _check_ends(task.start, task.end)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Put the operator's name before whatever is wrong with an argument."""
    try:
        yield
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def exportable(stated: Any, client: "Client | None") -> "Query":
    """The query that an operator's `query=` states. Raises `SpecError` and `AnalyticsInvalidQuery`."""
    from vectorshift.analytics import Query
    from vectorshift_orchestration.errors import SpecError

    stated = {} if stated is None else stated
    if not isinstance(stated, Mapping):
        raise SpecError(f"It is a Query or what its to_dict() gives, not {stated!r}.")
    if "group_by" in stated:
        raise SpecError("A grouped query has figures, not events; leave group_by out.")
    return Query.from_dict(stated, client)


def _check_flags(task: "VectorShiftExportOperator") -> None:
    for argument in ("deferrable", "durable", "parquet"):
        if not isinstance(value := getattr(task, argument), bool):
            raise ValueError(f"{argument}= is True or False, not {value!r}.")


def _check_numbers(task: "VectorShiftExportOperator") -> None:
    for argument in ("timeout", "poll_interval"):
        value = getattr(task, argument)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise ValueError(f"{argument}= is a number of seconds above 0, not {value!r}.")
    late: Any = task.late_arrival
    if not (isinstance(late, timedelta) and late >= timedelta(0)):
        raise ValueError(f"late_arrival= is a timedelta of 0 or more, not {late!r}.")


def _check_connection(conn_id: Any) -> None:
    if not is_late(conn_id) and not (isinstance(conn_id, str) and conn_id.strip()):
        raise ValueError(f"vectorshift_conn_id= is the id of a connection, not {conn_id!r}.")


def _check_format(file_format: Any) -> None:
    if is_late(file_format) or (isinstance(file_format, str) and not is_literal(file_format)):
        return
    from vectorshift.analytics import ExportFormat
    from vectorshift_orchestration.specs.documents import nearest

    known = {each.value.lower() for each in ExportFormat}
    if not isinstance(file_format, str) or file_format.lower() not in known:
        hint = nearest(file_format, sorted(known))
        raise ValueError(f"file_format= cannot be {file_format!r}. {hint}")


def _check_file(task: "VectorShiftExportOperator") -> None:
    if task.parquet and task.destination is None:
        raise ValueError("parquet= is about the file; give destination= for one.")
    if not all(isinstance(v, str) and is_literal(v) for v in (task.destination, task.file_format)):
        return
    suffix = PurePosixPath(str(task.destination)).suffix.lower().removeprefix(".")
    content = _PARQUET if task.parquet else task.file_format.lower()
    if suffix != content and suffix in ("csv", "json", "xlsx", _PARQUET):
        raise ValueError(
            f"destination= is named .{suffix} and would hold {content.upper()}; rename it, or change "
            "file_format= or parquet=."
        )


def _check_lookback(task: "VectorShiftExportOperator") -> None:
    lookback: Any = task.lookback
    if is_late(lookback) or (isinstance(lookback, str) and not is_literal(lookback)):
        return
    text = str(lookback).strip()
    if isinstance(lookback, bool) or not text.isascii() or not text.isdigit():
        raise ValueError(f"lookback= is a whole number of intervals, 0 or more, not {lookback!r}.")
    if int(text) and task.destination is not None:
        raise ValueError(
            "lookback= overwrites earlier intervals, and destination= names the file of one. Land "
            "in table= alone, give start= for one wider file, or map the task over the intervals."
        )


def _check_ends(start: Any, end: Any) -> None:
    """Both ends by themselves, then together; a window is made to see what it has against them."""
    known = {"start": _known_end(start), "end": _known_end(end)}
    for argument, instant in known.items():
        if instant is not None:
            ends = (instant, _LATEST) if argument == "start" else (_SOONEST, instant)
            _check_window(f"{argument}=", *ends)
    if known["start"] is not None and known["end"] is not None:
        _check_window("start= and end=", known["start"], known["end"])


def _check_window(argument: str, start: Any, end: Any) -> None:
    try:
        Window.parse(start, end)
    except WindowError as problem:
        raise ValueError(f"{argument} cannot be used. {problem}") from None


def _known_end(value: Any) -> datetime | str | None:
    if value is None or is_late(value):
        return None
    if isinstance(value, str):
        return value if is_literal(value) else None
    if not isinstance(value, datetime):
        raise ValueError(f"start= and end= are aware datetimes or ISO 8601 text, not {value!r}.")
    return value
