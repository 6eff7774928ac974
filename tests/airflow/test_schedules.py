"""A warning where the DAG is read: its data intervals leave out an hour when clocks are set back."""

import warnings
from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import (
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    MultipleCronTriggerTimetable,
)
from dateutil.relativedelta import relativedelta

from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
    VectorShiftThresholdCheckOperator,
)
from airflow_provider_vectorshift.sensors import VectorShiftErrorCountSensor
from vectorshift_orchestration import Absolute

DAY, BERLIN = timedelta(days=1), "Europe/Berlin"

TASKS = {
    VectorShiftExportOperator: {"destination": "x.csv"},
    VectorShiftAggregateOperator: {"metrics": ["runs.sum"]},
    VectorShiftThresholdCheckOperator: {"rule": Absolute(metric="errors.sum", error=1)},
    VectorShiftErrorCountSensor: {"threshold": 1},
}


def define(schedule, kind=VectorShiftExportOperator, **more):
    """A DAG with one task of ours; every warning is an error."""
    with DAG("d", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        kind(task_id="t", **TASKS[kind] | more)


def daily(cron="@daily", zone=BERLIN, interval=DAY):
    """A trigger timetable as it is written to have intervals."""
    return CronTriggerTimetable(cron, timezone=zone, interval=interval)


LOSING = [
    daily(),
    daily("30 2 * * *", "America/New_York"),
    daily("0 */6 * * *", interval=timedelta(hours=6)),
    daily("0 0 * * 1", interval=timedelta(weeks=1)),
    daily("0 0 1 * *", interval=relativedelta(months=1)),
    daily(interval=relativedelta(days=1)),
    daily(zone="Australia/Lord_Howe"),
    MultipleCronTriggerTimetable(
        "0 0 * * *", "0 12 * * *", timezone=BERLIN, interval=timedelta(hours=12)
    ),
]


@pytest.mark.parametrize("schedule", LOSING, ids=range(len(LOSING)))
def test_an_hour_is_left_out(schedule):
    """Intervals as wide as the steps of a wall clock do not meet on the long day: that is reported, with what to take."""
    with pytest.warns(UserWarning, match="leaves .* out.*CronDataIntervalTimetable"):
        define(schedule)


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_that_takes_the_interval_warns(kind):
    """It is told of every operator and sensor that takes the data interval, with the task's name."""
    with pytest.warns(UserWarning, match=f"{kind.__name__} 't': .*Europe/Berlin"):
        define(daily(), kind)


@pytest.mark.airflow33
def test_the_sdks_own_timetable():
    """The same where the timetable is imported from the task SDK."""
    from airflow.sdk.definitions.timetables import trigger as sdk

    with pytest.warns(UserWarning, match="leaves 1:00:00 out"):
        define(sdk.CronTriggerTimetable("@daily", timezone=BERLIN, interval=DAY))


def test_airflow_leaves_it_out():
    """What is warned of is so: two intervals in a row have an hour between them that no run is about."""
    runs = daily("0 0 * * *")
    ends = [datetime(2026, 10, day, hour, tzinfo=UTC) for day, hour in ((24, 22), (25, 23))]
    first, second = (
        runs.infer_manual_data_interval(run_after=pendulum.instance(end)) for end in ends
    )
    assert second.start - first.end == timedelta(hours=1)


@pytest.mark.parametrize(
    "schedule",
    [
        daily(zone="UTC"),
        daily(zone="Asia/Kolkata"),
        daily("0 * * * *", interval=timedelta(hours=1)),
        daily(interval=timedelta(hours=25)),
        daily(interval=timedelta(hours=1)),
        daily(interval=timedelta(0)),
        CronDataIntervalTimetable("@daily", timezone=BERLIN),
        DeltaTriggerTimetable(DAY, interval=DAY),
        "@daily",
        None,
    ],
)
def test_nothing_is_left_out(schedule):
    """Nothing is told where intervals meet, overlap, or are samples on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        define(schedule)


def test_a_task_with_its_own_window():
    """Nor of a task that does not take the data interval."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        define(daily(), start="2026-01-01T00:00Z", end="2026-01-02T00:00Z")
        define(daily(), VectorShiftErrorCountSensor, trailing=60)
