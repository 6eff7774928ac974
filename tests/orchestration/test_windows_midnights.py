"""Days whose midnight comes twice: whoever begins them first or last, they fit together."""

from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.rules import Change
from vectorshift_orchestration.windows import Window, edges

TWICE = {
    "Atlantic/Azores": (
        datetime(2025, 10, 26, 0, tzinfo=UTC),
        datetime(2025, 10, 26, 1, tzinfo=UTC),
    ),
    "America/Havana": (datetime(2025, 11, 2, 4, tzinfo=UTC), datetime(2025, 11, 2, 5, tzinfo=UTC)),
}
ZONES = st.sampled_from(
    ["Atlantic/Azores", "America/Havana", "America/St_Johns", "Asia/Beirut", "Europe/Berlin", "UTC"]
)
DAY = timedelta(days=1)


def days(zone, fold, first, count):
    """Consecutive days of a zone."""
    cuts = [edges.day_start(first, edges.zone(zone), fold)]
    for _ in range(count):
        cuts.append(edges.after(cuts[-1], "day", edges.zone(zone), fold))
    return [Window(*ends) for ends in pairwise(cuts)]


@pytest.mark.parametrize("zone", TWICE)
def test_the_hour_between_belongs_to_one_of_the_days(zone):
    """The first midnight gives it to the new day, as Dagster has it; the last to the day before, as Airflow."""
    first, last = TWICE[zone]
    begin = first.date() - DAY
    before, new = days(zone, 0, begin, 2)
    assert (before.width, new.width, new.start) == (DAY, DAY + timedelta(hours=1), first)
    assert Window.day(first.date(), zone) == new
    before, new = days(zone, 1, begin, 2)
    assert (before.width, new.width, new.start) == (DAY + timedelta(hours=1), DAY, last)


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("zone", TWICE)
def test_a_day_is_a_day_whichever_midnight_it_took(zone, fold):
    """Its own ends tell: it is one aligned day, has the key of its date, is not cut, and has a day before it."""
    begin = TWICE[zone][0].date() - DAY
    for before, window in pairwise(days(zone, fold, begin, 3)):
        assert window.is_aligned("day", zone)
        assert window.split("day", zone) == [window]
        assert window.align("day", zone, fold) == window
        assert window.earlier(1, "day", zone, fold) == [before]
    before, window, after = days(zone, fold, begin, 3)
    assert [each.partition_key("day", zone) for each in (before, window, after)] == [
        str(begin + back * DAY) for back in range(3)
    ]
    assert window.earlier(1, "day", zone) == [before]
    requested = Judging(
        Change(metric="runs.sum", error=1), [window], lambda each, n: each.earlier(n, "day", zone)
    ).question
    assert requested.window == Window(before.start, window.end)


def test_the_hour_between_is_not_a_day():
    """Both of its ends are midnights, and no day lies between them."""
    between = Window(*TWICE["Atlantic/Azores"])
    assert not between.is_aligned("day", "Atlantic/Azores")
    assert not between.is_aligned("month", "Atlantic/Azores")


def test_a_month_may_begin_with_such_a_day():
    """In Havana the first of November 2026 has two midnights; a month that takes either is one."""
    for start in (datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC)):
        month = Window(start, datetime(2026, 12, 1, 5, tzinfo=UTC))
        assert month.is_aligned("month", "America/Havana")
        (before,) = month.earlier(1, "month", "America/Havana")
        assert (before.start, before.end) == (datetime(2026, 10, 1, 4, tzinfo=UTC), start)


@given(
    ZONES, st.sampled_from([0, 1]), st.sampled_from(["day", "week", "month"]), st.integers(0, 9_000)
)
def test_units_follow_each_other(zone, fold, unit, days_on):
    """An instant lies in one unit, whose ends are edges, and the unit before ends where it begins."""
    moment = datetime(2004, 1, 1, tzinfo=UTC) + timedelta(hours=days_on * 24 + days_on % 24)
    tz = edges.zone(zone)
    start, end = edges.at_or_before(moment, unit, tz, fold), edges.after(moment, unit, tz, fold)
    assert start <= moment < end
    assert edges.at_or_before(start, unit, tz, fold) == start
    assert edges.after(start, unit, tz, fold) == end
    assert edges.after(start - edges.TICK, unit, tz, fold) == start
    assert date.min < start.date()


def test_the_version_of_the_zones_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's files say which version they are, or that they do not; without them the package does."""
    monkeypatch.setattr(edges, "TZPATH", (str(tmp_path / "none"), str(tmp_path)))
    assert edges.database() == f"of unknown version in {tmp_path}"
    (tmp_path / "tzdata.zi").write_text(
        "# version 2031a\n# This zic input file is in the public domain.\n"
    )
    assert edges.database() == "2031a"
    monkeypatch.setattr(edges, "TZPATH", ())
    assert edges.database() == f"{version('tzdata')} (package tzdata)"
