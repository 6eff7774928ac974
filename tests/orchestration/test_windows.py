"""Windows: half-open, UTC, aware; splitting loses nothing; labels are stable."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.windows import Window

START = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)

zones = st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]).map(
    ZoneInfo
)
milliseconds = st.integers(1, 400 * 86_400_000).map(lambda n: timedelta(milliseconds=n))


def local_midnights(zone: ZoneInfo, first: date, days: int) -> list[datetime]:
    return [
        datetime.combine(first + timedelta(days=n), datetime.min.time(), zone)
        for n in range(days + 1)
    ]


@settings(max_examples=60, deadline=None)
@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 (a zone is added below)
    zone=zones,
    width=milliseconds,
    step=st.integers(3_600_000, 400 * 86_400_000).map(lambda n: timedelta(milliseconds=n)),
)
def test_split_covers_the_window_without_gap_or_overlap(start, zone, width, step):
    """The parts of any window in any zone follow each other from its start to its end."""
    aware = start.replace(microsecond=start.microsecond // 1000 * 1000, tzinfo=zone)
    begin = aware.astimezone(UTC)
    window = Window(begin, begin + width)
    parts = window.split(step)
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(part.width == step for part in parts[:-1])


@settings(max_examples=40, deadline=None)
@given(zone=zones, first=st.dates(date(2020, 1, 1), date(2028, 1, 1)), hour=st.integers(0, 9599))
def test_an_instant_lies_in_exactly_one_local_day(zone, first, hour):
    """400 local days hold each instant once, over clock changes and leap days; so do its edges."""
    edges = local_midnights(zone, first, 400)
    days = [Window(a, b) for a, b in pairwise(edges)]
    assert days[0].start == edges[0]
    assert days[-1].end == edges[-1]
    instant = days[0].start + timedelta(hours=hour)
    assert sum(day.contains(instant) for day in days) == (instant < days[-1].end)
    edge = days[hour % 400].start
    assert [day.contains(edge) for day in days].count(True) == 1


def test_9600_hours_are_400_days():
    """Splitting 400 days by the hour gives 9,600 whole windows, all different by label."""
    hours = Window(START, START + timedelta(days=400)).split(HOUR)
    assert len(hours) == 9600
    assert len({hour.label for hour in hours}) == 9600


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_days_of_a_clock_change_keep_their_real_width(zone, day, hours):
    """A local day is as long as it really is, because both ends are instants."""
    midnights = local_midnights(ZoneInfo(zone), day, 1)
    assert Window(*midnights).width == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (datetime(2026, 11, 22), START, "no time zone"),  # noqa: DTZ001
        (START, datetime(2026, 11, 23), "no time zone"),  # noqa: DTZ001
        (START, START, "holds nothing"),
        (START + HOUR, START, "after its end"),
        (START + timedelta(microseconds=1), START + HOUR, "whole millisecond"),
        (date(2026, 11, 22), START, "not a datetime"),
    ],
)
def test_a_window_that_means_nothing_is_refused(start, end, part):
    """Naive, empty, reversed, finer than the clock: a sentence, and a ValueError too."""
    with pytest.raises(WindowError, match=part) as caught:
        Window(start, end)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "2026-11-22T00:00:00", 5, None])
def test_text_without_an_instant_is_refused(text):
    """Words, dates and times without an offset do not name an instant."""
    with pytest.raises(WindowError):
        Window.parse(text, START + HOUR)


def test_parse_takes_text_and_datetimes_in_any_zone():
    """Z, an offset and an aware datetime that name the same instants give equal windows."""
    india = timezone(timedelta(hours=5, minutes=30))
    same = {
        Window.parse("2026-11-22T00:00:00Z", "2026-11-22T01:00:00.000+00:00"),
        Window.parse("2026-11-22T05:30:00+05:30", START + HOUR),
        Window(START.astimezone(india), START + HOUR),
    }
    assert len(same) == 1
    assert same.pop().start.tzinfo is UTC


def test_a_subclass_of_datetime_is_stored_as_a_plain_one():
    """Orchestrators pass datetimes of their own; a window compares and pickles without them."""

    class Odd(datetime):
        pass

    window = Window(Odd(2026, 11, 22, tzinfo=UTC), START + HOUR)
    assert type(window.start) is datetime


@pytest.mark.parametrize(
    ("window", "label"),
    [
        (Window.day(date(2026, 11, 22)), "2026-11-22"),
        (Window(START + HOUR, START + 2 * HOUR), "20261122T010000Z-20261122T020000Z"),
        (
            Window(START + HOUR, START + timedelta(days=1, hours=1)),
            "20261122T010000Z-20261123T010000Z",
        ),
        (
            Window(START, START + timedelta(milliseconds=5)),
            "20261122T000000Z-20261122T000000.005Z",
        ),
    ],
)
def test_labels(window, label):
    """A whole UTC day is its date, everything else is both ends."""
    assert window.label == label


def test_day_refuses_an_instant():
    """A datetime given as a day would lose its time silently."""
    with pytest.raises(WindowError, match="date"):
        Window.day(START)


def test_json_and_pickle_round_trip():
    """A window survives JSON and pickling, and a description with other keys does not pass."""
    window = Window(START, START + timedelta(milliseconds=1500))
    assert window.to_dict() == {
        "start": "2026-11-22T00:00:00Z",
        "end": "2026-11-22T00:00:01.500000Z",
    }
    assert Window.from_dict(window.to_dict()) == window
    assert pickle.loads(pickle.dumps(window)) == window
    with pytest.raises(WindowError, match="start and end"):
        Window.from_dict({"start": "2026-11-22T00:00:00Z"})


def test_lookback_widens_into_the_past():
    """Two windows of lookback make one window of three times the width with the same end."""
    day = Window.day(date(2026, 11, 22))
    wide = day.lookback(2)
    assert wide.end == day.end
    assert wide.split(day.width)[-1] == day
    assert len(wide.split(day.width)) == 3
    assert day.lookback(0) == day
    with pytest.raises(WindowError, match="0 or more"):
        day.lookback(-1)


@pytest.mark.parametrize("step", [timedelta(0), -HOUR, timedelta(microseconds=1500)])
def test_split_refuses_a_step_that_cannot_be(step):
    """Zero, negative and off-grid steps are refused."""
    with pytest.raises(WindowError, match="positive"):
        Window(START, START + HOUR).split(step)


@pytest.mark.parametrize(
    ("start", "end", "aligned"),
    [
        ("2026-11-22T01:00:00Z", "2026-11-22T03:00:00Z", {"hour"}),
        ("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z", {"hour", "day"}),
        ("2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", {"hour", "day", "week"}),
        ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", {"hour", "day", "month"}),
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {"hour", "day", "month", "year"}),
        ("2026-11-22T00:00:00+05:30", "2026-11-23T00:00:00+05:30", set()),
        ("2026-11-22T00:00:00Z", "2026-11-22T00:00:01Z", set()),
    ],
)
def test_alignment_needs_both_ends_on_an_edge(start, end, aligned):
    """A window is aligned to the buckets whose edges, in UTC, both of its ends are."""
    window = Window.parse(start, end)
    intervals = ("hour", "day", "week", "month", "year")
    assert {each for each in intervals if window.is_aligned(each)} == aligned


def test_contains_is_half_open_and_wants_an_instant():
    """The start is in, the end is out, a naive time is an error."""
    window = Window(START, START + HOUR)
    assert window.contains(START)
    assert not window.contains(START + HOUR)
    with pytest.raises(WindowError, match="no time zone"):
        window.contains(datetime(2026, 11, 22))  # noqa: DTZ001
