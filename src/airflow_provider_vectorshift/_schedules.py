"""Warnings, when the DAG is parsed, about schedules whose data intervals leave out events."""

import warnings
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import name_of

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

_SOME_TICKS = 40
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def warn_of_lost_hours(task: "BaseOperator") -> None:
    """Warn where the data intervals of a task's DAG leave out an hour when clocks are set back.

    A cron expression ticks by the wall clock, and an `interval=` of a trigger timetable is a number of
    hours. Where it is as wide as the cron expression's own steps, the long day lacks an hour.
    """
    dag = task.get_dag()
    timetable = getattr(dag, "timetable", None)
    crons = _attribute(timetable, "timetables") or [timetable]
    interval = _attribute(crons[0], "interval")
    timezone = _attribute(crons[0], "timezone")
    expressions = [_attribute(cron, "expression") for cron in crons]
    is_cron = isinstance(timezone, str | tzinfo) and all(expressions)
    if dag is None or not interval or not is_cron:
        return
    from vectorshift_orchestration.windows import edges

    hours = {expression.split()[1] for expression in expressions}
    if hours & {"*", "*/1"} or not (shift := _shift(edges.zone(timezone))):
        return
    steps = list(pairwise(_ticks(expressions)))
    if all(tick - interval <= before for before, tick in steps) and not all(
        tick - interval <= before - shift for before, tick in steps
    ):
        warnings.warn(
            f"{name_of(task)}: the data intervals of DAG {dag.dag_id!r} are {interval} wide "
            f"({type(timetable).__name__}), so the night in which clocks are set back in "
            f"{timezone} leaves {shift} out. Schedule the DAG with "
            "CronDataIntervalTimetable, whose intervals meet.",
            UserWarning,
            stacklevel=3,
        )


def _attribute(timetable: Any, name: str) -> Any:
    """A setting of a timetable: of the SDK's own, or of the scheduler's."""
    return getattr(timetable, name, None) or getattr(timetable, f"_{name}", None)


def _shift(zone: tzinfo) -> timedelta:
    """How far the zone sets its clocks back in the coming year."""
    now = datetime.now(UTC)
    offsets = {
        (now + timedelta(days=days)).astimezone(zone).utcoffset() or timedelta(0)
        for days in range(0, 365, 10)
    }
    return max(offsets) - min(offsets)


def _ticks(expressions: list[str]) -> list[datetime]:
    """Some ticks in a row, by a clock that is never set."""
    from croniter import croniter

    clocks = [croniter(expression, _SOME_DAY) for expression in expressions]
    each = [[clock.get_next(datetime) for _ in range(_SOME_TICKS)] for clock in clocks]
    last = min(row[-1] for row in each)
    return sorted({tick for row in each for tick in row if tick <= last})
