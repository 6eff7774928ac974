"""Which interval a run is about: the data interval, explicit ends, a partition, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_vectorshift._context import window_of
from tests.airflow.running import last_day, yesterday
from vectorshift_orchestration import Window, WindowError

NEW_YORK = ZoneInfo("America/New_York")


def partition(cron, date, timezone="UTC"):
    """The context of a run for the partition that begins at `date`."""
    from airflow.sdk import DAG, CronPartitionTimetable

    dag = DAG("d", schedule=CronPartitionTimetable(cron, timezone=timezone))
    return {
        "dag": dag,
        "data_interval_start": None,
        "data_interval_end": None,
        "partition_key": f"{date:%Y-%m-%dT%H:%M:%S}",
        "partition_date": pendulum.instance(date),
    }


def test_data_interval_and_explicit_ends():
    """A run without a data interval is told what to do, and a half explicit one uses the rest."""
    day = last_day()
    with pytest.raises(WindowError, match=r"no data interval.*logical date"):
        window_of({}, None, day.end)
    context = {"data_interval_start": day.start, "data_interval_end": day.end}
    assert window_of(context, None, None) == day
    earlier = day.start - timedelta(days=1)
    assert window_of(context, earlier, None) == day.lookback(1)


@pytest.mark.airflow33
@pytest.mark.parametrize(
    ("cron", "date", "end"),
    [
        ("0 * * * *", datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("@daily", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)),
        ("0  0 * * 1", datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC)),
        ("@monthly", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("0 0 1 1 *", datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_partition(cron, date, end):
    """A partition of a calendar's period is that period."""
    assert window_of(partition(cron, date), None, None) == Window(date, end)


@pytest.mark.airflow33
def test_partition_of_a_long_day():
    """A local day has as many hours as its zone gave it."""
    begin = datetime(2026, 11, 1, tzinfo=NEW_YORK)  # the clocks go back
    window = window_of(partition("@daily", begin, "America/New_York"), None, None)
    assert window.width == timedelta(hours=25)
    assert window.end == datetime(2026, 11, 2, tzinfo=NEW_YORK)


@pytest.mark.airflow33
def test_partitions_around_a_midnight_that_comes_twice():
    """Airflow ticks at the second one: the hour between belongs to the day before, and none is left out."""
    ticks = [datetime(2025, 10, day, hour, tzinfo=UTC) for day, hour in ((25, 0), (26, 1), (27, 1))]
    result = [
        window_of(partition("@daily", tick, "Atlantic/Azores"), None, None) for tick in ticks[:2]
    ]
    assert result == [Window(*ticks[:2]), Window(*ticks[1:])]


@pytest.mark.airflow33
@pytest.mark.parametrize(
    ("cron", "date"),
    [
        ("*/7 * * * *", datetime(2026, 11, 1, tzinfo=UTC)),
        (
            "@weekly",
            datetime(2026, 11, 1, tzinfo=UTC),
        ),  # from Sunday; the service's begin on Monday
        ("@daily", datetime(2026, 11, 1, 3, tzinfo=UTC)),
    ],
)
def test_partition_that_is_not_a_period(cron, date):
    """What lies between two ticks of any other expression is not guessed."""
    with pytest.raises(WindowError, match=r"does not say when it ends.*start= and end="):
        window_of(partition(cron, date), None, None)


@pytest.mark.airflow33
def test_partition_without_a_date():
    """A key that somebody made up for a run by hand names no interval."""
    context = partition("@daily", datetime(2026, 11, 1, tzinfo=UTC)) | {"partition_date": None}
    with pytest.raises(WindowError, match="does not say when it ends"):
        window_of(context, None, None)


@pytest.mark.airflow33
def test_partition_of_an_asset():
    """The DAG that consumes a partitioned asset has no cron expression: it is told the ends to give, and they work."""
    import re

    from airflow.sdk.execution_time import macros
    from jinja2.sandbox import SandboxedEnvironment

    context = partition("@daily", datetime(2026, 11, 22, tzinfo=UTC))
    context |= {"dag": SimpleNamespace(timetable=object()), "partition_date": None}
    with pytest.raises(WindowError, match="comes from an asset") as refused:
        window_of(context, None, None)
    assert "CronPartitionTimetable" not in str(refused.value)
    advised = re.findall(r'(start|end)="(.*?)"', str(refused.value))
    filled = {
        name: SandboxedEnvironment(autoescape=True).from_string(text).render(context, macros=macros)
        for name, text in advised
    }
    assert window_of(context, **filled) == Window.day(date(2026, 11, 22))


def test_partition_that_is_still_to_come():
    """A period that has not ended is refused, because its events are not all there."""
    today = yesterday().end
    with pytest.raises(WindowError, match="run_offset=-1"):
        window_of(partition("@daily", today), None, None)


def test_ends_finer_than_the_clock_are_cut_alike():
    """Timetables that begin at a run's own moment give microseconds; neighbours share an edge."""
    first, second, third = (
        datetime(2026, 11, 22, hour, 0, 0, micro, UTC)
        for hour, micro in ((1, 123_456), (2, 999_999), (3, 1))
    )
    windows = [
        window_of({"data_interval_start": start, "data_interval_end": end}, None, None)
        for start, end in ((first, second), (second, third))
    ]
    assert windows[0].end == windows[1].start == second.replace(microsecond=999_000)
    assert windows[0].start == first.replace(microsecond=123_000)
    assert windows[1].end == third.replace(microsecond=0)
    rendered = window_of({}, str(first), second.isoformat())  # as templates come out
    assert rendered == windows[0]
    with pytest.raises(WindowError, match="starts and ends"):
        window_of(
            {"data_interval_start": third, "data_interval_end": third.replace(microsecond=9)},
            None,
            None,
        )
