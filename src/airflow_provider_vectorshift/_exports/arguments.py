"""What an export's arguments may be, told where the DAG is read, and again once templates are filled in."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import check_flags, is_literal

if TYPE_CHECKING:
    from airflow_provider_vectorshift.operators.export import VectorShiftExportOperator
    from vectorshift import Client
    from vectorshift.analytics import Query

_PARQUET = "parquet"


def check(task: "VectorShiftExportOperator", name: str) -> None:
    """Raise ValueError with one sentence that begins with `name` and has the argument.

    What holds a template, or comes from another task, is let pass: it is checked when it is known.
    """
    task.landing.check(name)
    check_flags(task, "deferrable", "durable", "parquet")
    with named(name):
        _check_numbers(task)
        _check_format(task.file_format)
        _check_file(task)
        _check_lookback(task)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Put the operator's name before whatever is wrong with an argument."""
    try:
        yield
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def exportable(stated: Mapping[str, Any], client: "Client | None") -> "Query":
    """The query that an operator's `query=` states. Raises `SpecError` and `AnalyticsInvalidQuery`."""
    from vectorshift.analytics import Query
    from vectorshift_orchestration.errors import SpecError

    if "group_by" in stated:
        raise SpecError("A grouped query has figures, not events; leave group_by out.")
    return Query.from_dict(stated, client)


def _check_numbers(task: "VectorShiftExportOperator") -> None:
    for argument in ("timeout", "poll_interval"):
        value = getattr(task, argument)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise ValueError(f"{argument}= is a number of seconds above 0, not {value!r}.")
    late: Any = task.late_arrival
    if not (isinstance(late, timedelta) and late >= timedelta(0)):
        raise ValueError(f"late_arrival= is a timedelta of 0 or more, not {late!r}.")


def _check_format(file_format: Any) -> None:
    if not is_literal(file_format):
        return
    from vectorshift.analytics import ExportFormat

    known = {each.value.lower() for each in ExportFormat}
    if not isinstance(file_format, str) or file_format.lower() not in known:
        from vectorshift_orchestration.specs.documents import nearest

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
    if task.destination is not None and is_literal(task.lookback) and task.intervals_before:
        raise ValueError(
            "lookback= overwrites earlier intervals, and destination= names the file of one. Land "
            "in table= alone, give start= for one wider file, or map the task over the intervals."
        )
