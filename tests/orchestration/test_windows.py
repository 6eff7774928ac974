"""Windows: half-open, UTC, aware; splitting loses nothing; labels are stable."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pandas
import pytest
from dateutil.tz import gettz

from vectorshift_orchestration.errors import WindowError
from vectorshift_orchestration.windows import Window, merge
from vectorshift_orchestration.windows.clock import between
from vectorshift_orchestration.windows.crons import period_from

START = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)


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
    assert Window.day(day, zone).width == timedelta(hours=hours)
    assert len(Window.day(day, zone).split("hour", zone)) == int(hours)


@pytest.mark.parametrize(
    ("start", "end", "part"),
    [
        (datetime(2026, 11, 22), START, "no time zone"),  # noqa: DTZ001
        (START, datetime(2026, 11, 23), "no time zone"),  # noqa: DTZ001
        (START, START, "holds nothing"),
        (START + HOUR, START, "after its end"),
        (START + timedelta(microseconds=1), START + HOUR, "whole millisecond"),
        (date(2026, 11, 22), START, "not a datetime"),
        (datetime.min.replace(tzinfo=UTC), START, "no bound at all"),
        (START, datetime.max.replace(tzinfo=UTC), "no bound at all"),
        (START, datetime.max.replace(tzinfo=timezone(-HOUR)), "no bound at all"),
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


class Duration(timedelta):
    """As the orchestrators' own widths: its remainder knows nothing of a plain timedelta."""

    def __mod__(self, other):
        raise AttributeError("no such thing")


def test_a_subclass_of_timedelta_is_a_width():
    """Pendulum's durations cut, align and look back like plain ones."""
    day, width = Window.day(date(2026, 11, 22)), Duration(hours=6)
    plain = timedelta(hours=6)
    assert day.split(width) == day.split(plain)
    assert day.align(width) == day
    assert day.earlier(2, width) == day.earlier(2, plain)


@pytest.mark.parametrize("count", [-1, 1.5, "2", None])
def test_a_lookback_is_a_whole_number(count):
    """Anything else is refused in a sentence."""
    with pytest.raises(WindowError, match="0 or more"):
        Window.day(date(2026, 11, 22)).lookback(count)


def test_contains_is_half_open_and_wants_an_instant():
    """The start is in, the end is out, a naive time is an error."""
    window = Window(START, START + HOUR)
    assert window.contains(START)
    assert not window.contains(START + HOUR)
    with pytest.raises(WindowError, match="no time zone"):
        window.contains(datetime(2026, 11, 22))  # noqa: DTZ001


NEW_YORK, LORD_HOWE, CAIRO = "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"


@pytest.mark.parametrize(
    ("zone", "day", "shown"),
    [
        (NEW_YORK, date(2026, 11, 1), ["00:00", "01:00", "01:00", "02:00", "03:00"]),
        (NEW_YORK, date(2026, 3, 8), ["00:00", "01:00", "03:00", "04:00", "05:00"]),
        (LORD_HOWE, date(2026, 4, 5), ["00:00", "01:00", "02:00", "03:00", "04:00"]),
        (LORD_HOWE, date(2026, 10, 4), ["00:00", "01:00", "03:00", "04:00", "05:00"]),
        (CAIRO, date(2026, 4, 24), ["01:00", "02:00", "03:00", "04:00", "05:00"]),
    ],
)
def test_local_hours_begin_where_the_clock_shows_a_whole_one(zone, day, shown):
    """A repeated hour counts twice, a skipped one not at all, half an hour joins its neighbour."""
    hours = Window.day(day, zone).split("hour", zone)[:5]
    assert [f"{hour.start.astimezone(ZoneInfo(zone)):%H:%M}" for hour in hours] == shown


@pytest.mark.parametrize(
    ("every", "zone", "start", "key"),
    [
        ("day", "UTC", "2026-11-22T00:00:00Z", "2026-11-22"),
        ("day", NEW_YORK, "2026-11-01T04:00:00Z", "2026-11-01"),
        ("hour", "UTC", "2026-11-22T05:00:00Z", "2026-11-22-05:00"),
        ("hour", NEW_YORK, "2026-11-01T05:00:00Z", "2026-11-01-01:00"),
        ("hour", NEW_YORK, "2026-11-01T06:00:00Z", "2026-11-01-01:00-0500"),
        ("hour", "Asia/Kolkata", "2026-11-22T05:30:00Z", "2026-11-22-11:00"),
        ("week", "UTC", "2026-11-23T00:00:00Z", "2026-11-23"),
        ("month", NEW_YORK, "2026-11-01T04:00:00Z", "2026-11-01"),
        ("YEAR", "UTC", "2026-01-01T00:00:00Z", "2026-01-01"),
    ],
)
def test_partition_keys(every, zone, start, key):
    """The keys that Dagster 1.13 gives the same partitions."""
    begin = datetime.fromisoformat(start)
    window = Window(begin, begin + timedelta(milliseconds=1)).align(every, zone)
    assert window.start == begin
    assert window.partition_key(every, zone) == key


def test_only_a_whole_unit_has_a_key():
    """Two days, or a UTC day seen from another zone, are not a partition."""
    day = Window.day(date(2026, 11, 22))
    assert day.ds == "2026-11-22"
    for wrong, zone in ((day.lookback(1), "UTC"), (day, NEW_YORK)):
        with pytest.raises(WindowError, match="exactly one day"):
            wrong.partition_key("day", zone)


def test_merge_joins_what_touches_and_can_refuse_gaps():
    """Adjacent and overlapping windows are one; a gap is kept, or named."""
    first, second, third, fourth = Window(START, START + 4 * HOUR).split(HOUR)
    wide = Window(first.start, third.end)
    assert merge([third, first, second, second, wide]) == [wide]
    assert merge([fourth, first]) == [first, fourth]
    assert merge([]) == []
    with pytest.raises(WindowError, match="from 2026-11-22T01:00:00Z to 2026-11-22T03:00:00Z"):
        merge([fourth, first], gaps=False)
    with pytest.raises(WindowError, match="no windows"):
        merge([], gaps=False)


def test_align_to_a_width_counts_from_a_monday():
    """A quarter of an hour, seven days: the grid lies where the service's weeks begin."""
    window = Window(START + timedelta(minutes=5), START + timedelta(minutes=20))
    assert window.align(timedelta(minutes=15)).to_dict() == {
        "start": "2026-11-22T00:00:00Z",
        "end": "2026-11-22T00:30:00Z",
    }
    assert window.align(timedelta(days=7)) == window.align("week")


def test_windows_before_of_a_unit_need_its_beginning():
    """Local days before a window that begins inside of one have no meaning."""
    with pytest.raises(WindowError, match="does not begin with a day"):
        Window.day(date(2026, 11, 22)).earlier(1, "day", NEW_YORK)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Window.parse("2026-11-22T00:00:00.0000009Z", "2026-11-23T00:00:00Z"),
        lambda: Window(pandas.Timestamp("2026-11-22T00:00:00.000000500Z"), START + 24 * HOUR),
    ],
    ids=["text", "pandas"],
)
def test_nanoseconds_are_refused_and_not_dropped(build):
    """Python's datetime cannot hold them: neither text nor a Timestamp loses them in silence."""
    with pytest.raises(WindowError, match="finer than the service's clock"):
        build()


@pytest.mark.parametrize(
    ("every", "zone"),
    [(None, "UTC"), (timedelta(days=9), "UTC"), ("year", "UTC"), ("year", NEW_YORK)],
)
def test_a_lookback_that_has_no_beginning_is_refused(every, zone):
    """A million windows before this one are an error, and not an overflow."""
    window = Window.parse("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z").align("year", zone)
    with pytest.raises(WindowError, match="reach back beyond 1970"):
        window.lookback(1_000_000, every, zone)


@pytest.mark.parametrize("cut", ["split", "align"])
def test_a_width_of_ages_is_refused(cut):
    """The longest timedelta is not a width."""
    with pytest.raises(WindowError, match="230 years at most"):
        getattr(Window.day(date(2026, 11, 22)), cut)(timedelta.max)


@pytest.mark.parametrize("name", ["America/Sao_Paulo", "America/Havana", NEW_YORK])
def test_zones_of_other_libraries_cut_days_as_zoneinfo_does(name):
    """`dateutil` reads a midnight that the clocks skip another way; only from UTC do all agree."""
    first, last = Window.day(date(2014, 1, 1), name), Window.day(date(2019, 1, 1), name)
    years = Window(first.start, last.start).split("year", name)
    for year in years:
        assert year.split("day", gettz(name)) == year.split("day", name)
        assert year.split("hour", gettz(name)) == year.split("hour", name)


def test_a_zone_of_pytz_is_taken_by_its_name():
    """Put into a datetime it would mean local mean time, seven minutes off in Berlin."""

    class Berlin(tzinfo):
        zone = "Europe/Berlin"

    assert Window.day(date(2026, 7, 1), Berlin()) == Window.day(date(2026, 7, 1), "Europe/Berlin")


def test_neighbours_whose_ends_are_too_fine_meet():
    """Ends with microseconds are cut in the same way, given as times or as text."""
    first, second, third = (datetime(2026, 11, day, 0, 0, 0, 123_456, UTC) for day in (1, 2, 3))
    assert between(first, second).end == between(second.isoformat(), third).start
    with pytest.raises(WindowError, match="ISO 8601"):
        between("yesterday", third)


@pytest.mark.parametrize(
    ("cron", "day", "hours"),
    [
        ("@daily", 25, 25),  # clocks are set back in Berlin
        ("0 0 * * 1", 26, 168),
        ("0 0 1 * *", 25, None),  # no tick
        ("30 2 * * *", 25, None),  # not a calendar's own days
    ],
)
def test_a_period_lasts_until_the_next_tick(cron, day, hours):
    """A tick of hours, days, weeks, months or years tells the window that begins there, others nothing."""
    zone = ZoneInfo("Europe/Berlin")
    result = period_from(datetime(2026, 10, day, tzinfo=zone), cron, zone)
    assert (result and result.width / timedelta(hours=1)) == hours
