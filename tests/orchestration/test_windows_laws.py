"""Laws of windows over clock changes, leap days and leap years, tried with many examples."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, strategies as st

from tests.orchestration.laws import counted, law
from vectorshift_orchestration.windows import Window, edges, merge

TICK = timedelta(milliseconds=1)
ZONES = [
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",  # clocks change by half an hour
    "Asia/Kolkata",  # half an hour off
    "America/Havana",  # the clocks repeat midnight
    "Africa/Cairo",  # the clocks skip midnight
    "America/St_Johns",  # half an hour off, and they once changed at 00:01
    "Pacific/Apia",  # left a whole day out
]
UNITS = list(edges.UNITS)

zones = st.sampled_from(ZONES)
units = st.sampled_from(UNITS)
# Half of the starts lie close to a change of the clocks, a leap day, or the day that Apia left out.
turns = st.sampled_from(
    [
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        datetime(2026, 4, 23, 22, tzinfo=UTC),
        datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
        datetime(2011, 12, 30, 10, tzinfo=UTC),
        datetime(2028, 2, 29, 12, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    ]
)
near_a_turn = st.builds(
    lambda turn, ms: turn + ms * TICK,
    turns,
    st.integers(-7_200_000, 7_200_000) | st.integers(-2 * 86_400_000, 2 * 86_400_000),
)
shown_again = Window(
    datetime(2010, 11, 7, 2, 40, tzinfo=UTC), datetime(2010, 11, 7, 2, 50, tzinfo=UTC)
)
anywhere = st.builds(
    lambda ms: datetime(2005, 1, 1, tzinfo=UTC) + ms * TICK, st.integers(0, 30 * 365 * 86_400_000)
)
instants = near_a_turn | anywhere
widths = st.integers(1, 4 * 86_400_000).map(lambda ms: ms * TICK)
windows = st.builds(lambda start, width: Window(start, start + width), instants, widths)
spans = st.builds(
    lambda start, days, ms: Window(start, start + timedelta(days=days) + ms * TICK),
    instants,
    st.integers(0, 800),
    st.integers(1, 86_400_000),
)


def assert_partition(parts, window):
    """The parts follow each other from the window's start to its end."""
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert all(before.end == after.start for before, after in pairwise(parts))


@law(250)
@given(window=windows, unit=st.sampled_from(["hour", "day"]), zone=zones)
@counted
def test_parts_of_a_calendar_are_the_window(window, unit, zone):
    """Cut at hours or days of any zone, no instant is lost or doubled, and every cut is an edge."""
    parts = window.split(unit, zone)
    assert_partition(parts, window)
    for part in parts[1:]:
        assert edges.at_or_before(part.start, unit, ZoneInfo(zone)) == part.start
    for part in parts:
        assert edges.after(part.start, unit, ZoneInfo(zone)) >= part.end


@law(150)
@given(window=spans, unit=st.sampled_from(["week", "month", "year"]), zone=zones)
@counted
def test_parts_of_long_units_are_the_window(window, unit, zone):
    """Weeks begin on Mondays, months on firsts, years on 1 January of the zone."""
    parts = window.split(unit, zone)
    assert_partition(parts, window)
    begins = [part.start.astimezone(ZoneInfo(zone)) for part in parts[1:]]
    assert all(unit != "week" or begin.weekday() == 0 for begin in begins)
    assert all(unit == "week" or begin.day == 1 for begin in begins)
    assert all(unit != "year" or begin.month == 1 for begin in begins)


@law(200)
@given(window=windows, step=st.integers(600_000, 86_400_000).map(lambda ms: ms * TICK))
@counted
def test_parts_of_a_width_are_the_window(window, step):
    """Cut by a fixed width, every part but the last has it."""
    parts = window.split(step)
    assert_partition(parts, window)
    assert {part.width for part in parts[:-1]} <= {step}
    assert parts[-1].width <= step


@law(200)
@given(window=windows, zone=zones, unit=st.sampled_from(["hour", "day"]), share=st.floats(0, 0.999))
@counted
def test_an_instant_lies_in_exactly_one_part(window, zone, unit, share):
    """Any instant, and the very edge between two parts, belongs to one of them."""
    parts = window.split(unit, zone)
    instant = window.start + share * window.width // TICK * TICK
    for moment in (instant, parts[-1].start, window.start, window.end - TICK):
        assert [part.contains(moment) for part in parts].count(True) == 1
    assert not any(part.contains(window.end) for part in parts)


@law(200)
@given(st.lists(windows, min_size=1, max_size=5), st.randoms(use_true_random=False))
@counted
def test_merging_keeps_the_instants_and_is_minimal(several, order):
    """Merged windows hold the same edges, touch nowhere, and do not depend on the order."""
    merged = merge(several)
    shuffled = random.Random(order.random()).sample(several, len(several))
    assert merge(shuffled) == merged == merge(merged)
    assert all(before.end < after.start for before, after in pairwise(merged))
    for window in several:
        for moment in (window.start - TICK, window.start, window.end - TICK, window.end):
            held = any(each.contains(moment) for each in several)
            assert held == any(each.contains(moment) for each in merged)


@law(200)
@given(window=windows, zone=zones, unit=st.sampled_from(["hour", "day"]))
@counted
def test_merging_undoes_splitting(window, zone, unit):
    """The parts of a window are the window again, without a gap."""
    assert merge(reversed(window.split(unit, zone)), gaps=False) == [window]


@law(250)
@given(window=windows, zone=zones, unit=units)
@example(window=shown_again, zone="America/St_Johns", unit="day")
@counted
def test_alignment_is_the_narrowest_cover(window, zone, unit):
    """Aligned, a window covers what it covered, sits on edges, and has no whole unit to spare."""
    wide = window.align(unit, zone)
    assert wide.start <= window.start
    assert wide.end >= window.end
    assert wide.is_aligned(unit, zone)
    assert wide.align(unit, zone) == wide
    assert edges.after(wide.start, unit, ZoneInfo(zone)) > window.start
    assert edges.at_or_before(wide.end - TICK, unit, ZoneInfo(zone)) < window.end


@law(100)
@given(window=windows, step=st.integers(1, 7 * 86_400_000).map(lambda ms: ms * TICK))
@counted
def test_alignment_to_a_width_is_the_narrowest_cover(window, step):
    """On a grid of any width, the cover is less than one step wider at either end."""
    wide = window.align(step)
    assert window.start - step < wide.start <= window.start
    assert window.end <= wide.end < window.end + step
    assert wide.width % step == timedelta(0)
    assert wide.align(step) == wide


@law(250)
@given(moment=instants, zone=zones, unit=units)
@counted
def test_a_partition_key_names_one_window(moment, zone, unit):
    """The unit that holds an instant has a key, and its neighbour another."""
    window = Window(moment, moment + TICK).align(unit, zone)
    key = window.partition_key(unit, zone)
    [before] = window.earlier(1, unit, zone)
    assert before.end == window.start
    assert before.partition_key(unit, zone) != key


@law(100)
@given(moment=instants, zone=zones, unit=units, back=st.integers(0, 9))
@counted
def test_a_lookback_is_the_windows_before(moment, zone, unit, back):
    """N windows back is N whole units and this one, whatever their widths."""
    window = Window(moment, moment + TICK).align(unit, zone)
    wide = window.lookback(back, unit, zone)
    assert wide.split(unit, zone) == [*window.earlier(back, unit, zone), window]
    assert len(wide.split(unit, zone)) == back + 1


@law(3)
@given(first=st.dates(date(2004, 1, 1), date(2030, 1, 1)))
@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
@counted
def test_400_days_and_9600_hours(zone, first):
    """400 local days over two changes of the clocks, and 9,600 hours of them, each once."""
    last = first + timedelta(days=400)
    days = Window(Window.day(first, zone).start, Window.day(last, zone).start).split("day", zone)
    whole = Window(days[0].start, days[-1].end)
    assert len(days) == 400
    assert_partition(days, whole)
    assert len({day.partition_key("day", zone) for day in days}) == 400
    hours = Window(whole.start, whole.start + timedelta(hours=9600)).split(timedelta(hours=1))
    assert len(hours) == 9600
    assert_partition(hours, Window(whole.start, whole.start + timedelta(hours=9600)))
    assert {hour.width for hour in hours} == {timedelta(hours=1)}


@law(1)
@given(first=st.dates(date(2004, 1, 1), date(2030, 1, 1)))
@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
@counted
def test_the_local_hours_of_400_days(zone, first):
    """The hours of the local clock over 400 days: each has a key of its own and none is missing."""
    whole = Window.day(first, zone)
    whole = Window(whole.start, Window.day(first + timedelta(days=399), zone).end)
    hours = whole.split("hour", zone)
    assert_partition(hours, whole)
    assert len({hour.partition_key("hour", zone) for hour in hours}) == len(hours)
    displayed = [hour.start.astimezone(ZoneInfo(zone)) for hour in hours]
    assert {begin.minute for begin in displayed} == {0}
