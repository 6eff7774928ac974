"""Windows by name: which were missed, and in which ranges they are done; and where clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from vectorshift_orchestration.windows.clock import has_settled
from vectorshift_orchestration.windows.edges import changes
from vectorshift_orchestration.windows.ranges import contiguous, missed

DAYS = ["mo", "tu", "we", "th", "fr"]


@pytest.mark.parametrize(
    ("complete", "has_older", "expected"),
    [
        (["tu", "th"], False, {"we", "fr"}),  # what lies before the first one was never asked for
        (["tu", "th"], True, {"mo", "we", "fr"}),
        ([], False, set()),
        ([], True, set(DAYS)),
        (DAYS, True, set()),
    ],
)
def test_what_lies_behind_the_first_complete_window_is_missed(complete, has_older, expected):
    """A window is missed when one before it is complete, in the reach or before it, and it is not."""
    assert missed(DAYS, complete, has_older=has_older) == expected


@pytest.mark.parametrize(
    ("wanted", "most", "expected"),
    [
        ({"mo", "tu", "th"}, None, [["mo", "tu"], ["th"]]),
        (set(DAYS), 2, [["mo", "tu"], ["we", "th"], ["fr"]]),
        (set(), None, []),
    ],
)
def test_ranges_have_no_gaps(wanted, most, expected):
    """Every wanted window is in one range, a gap begins another, and none is longer than the most."""
    assert list(contiguous(DAYS, wanted, most)) == expected


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Africa/Cairo"]
)
def test_every_change_of_the_clocks_is_found(zone):
    """In five years each change is between two moments half a day apart, as looking at every one shows."""
    start, half_day = datetime(2021, 1, 1, 5, tzinfo=UTC), timedelta(hours=12)
    moments = [start + count * half_day for count in range(2 * 5 * 365)]
    offsets = {each: each.astimezone(ZoneInfo(zone)).utcoffset() for each in moments}
    expected = [pair for pair in pairwise(moments) if offsets[pair[0]] != offsets[pair[1]]]
    assert list(changes(ZoneInfo(zone), start, moments[-1])) == expected


def test_a_day_has_settled_by_its_date_in_the_night_of_the_change():
    """The one tick of the day that comes an hour early takes its day; a ticking hour still waits."""
    zone = ZoneInfo("America/New_York")
    end, settle = datetime(2026, 3, 8, tzinfo=zone), timedelta(hours=4)
    tick = datetime(2026, 3, 8, 4, tzinfo=zone)  # three hours later: the clocks go forward at two
    assert has_settled(end, tick, settle, zone, daily=True)
    assert not has_settled(end, tick, settle, zone, daily=False)
    assert has_settled(end, tick + timedelta(hours=1), settle, zone, daily=False)
