"""Windows in a row are written in one transaction, and each is still checked, counted and noted for itself."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, nullcontext
from datetime import timedelta
from itertools import chain, pairwise, permutations

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.fault_proxy import Fault, FaultProxy
from tests.orchestration.conftest import EVERY_KIND
from tests.orchestration.rows import DAY
from vectorshift_orchestration import landing as landing_module
from vectorshift_orchestration.errors import (
    CommitUnknownError,
    RowOutsideWindow,
    StaleWriterError,
    WindowTakenError,
)
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.parts import runs
from vectorshift_orchestration.windows import Window

WIDTH = timedelta(days=1)
DAYS = [Window(DAY.start + number * WIDTH, DAY.end + number * WIDTH) for number in range(5)]
HOUR = timedelta(hours=1)
in_every_kind = pytest.mark.parametrize("store", EVERY_KIND, indirect=True)


def rows_of(window, *numbers, at=None):
    """One row for each number, at the window's start and an hour later in turn."""
    starts = [at or window.start + (place % 2) * HOUR for place in range(len(numbers))]
    return pa.table({"at": pa.array(starts, pa.timestamp("us", "UTC")), "n": list(numbers)})


def days(mark=0):
    """Five days of one row, two, none, one and two; their numbers tell the day and the mark."""
    counts = (1, 2, 0, 1, 2)
    return {
        window: rows_of(window, *[100 * mark + 10 * day + each for each in range(count)])
        if count
        else rows_of(window, 0).slice(0, 0)
        for (day, window), count in zip(enumerate(DAYS), counts, strict=True)
    }


def place_in(store, **options):
    return Landing(table="events", connect=lambda: nullcontext(store.connection), **options)


def write(landing, parts, **options):
    return landing.write_rows(parts, time_column="at", **options)


def numbers(store):
    return sorted(row[1] for row in store.rows())


def all_of(parts):
    return sorted(number for rows in parts.values() for number in rows["n"].to_pylist())


@in_every_kind
def test_days_in_a_row_are_written_at_once_and_noted_one_by_one(store):
    """One transaction; each window tells its own rows, those it replaced, and an attempt of its own."""
    place = place_in(store)
    for mark, before in ((1, [0, 0, 0, 0, 0]), (2, [1, 2, 0, 1, 2])):
        landed = write(place, days(mark), attempts=place.begin_attempts(DAYS))
        assert [landed[window].rows for window in DAYS] == [1, 2, 0, 1, 2]
        assert [landed[window].deleted for window in DAYS] == before
        assert numbers(store) == all_of(days(mark))
    notes = [committed(store.connection, "events", window) for window in DAYS]
    assert [note.rows for note in notes] == [1, 2, 0, 1, 2]
    assert len({note.committed_at for note in notes}) == 1
    assert len({note.attempt_token for note in notes}) == 5


@pytest.mark.parametrize("store", ["duckdb"], indirect=True)
def test_more_windows_need_no_more_statements(store, monkeypatch):
    """What is asked of the database does not grow with the windows, only with the transactions."""
    from vectorshift_orchestration.storage.duckdb import DuckDB

    asked, run = Counter(), DuckDB.run
    monkeypatch.setattr(DuckDB, "run", lambda *given: asked.update([store.kind]) or run(*given))
    place, counts = place_in(store), []
    for count in (2, 5, 5):
        asked.clear()
        some = dict(list(days().items())[:count])
        write(place, some, attempts=place.begin_attempts(some))
        counts.append(asked.total())
    assert counts[1] == counts[2] <= counts[0]
    monkeypatch.setattr(landing_module, "MOST_TOGETHER", 2)
    asked.clear()
    write(place, days())
    assert counts[2] < asked.total() < 3 * counts[2]
    assert len({committed(store.connection, "events", each).committed_at for each in DAYS}) == 3


@in_every_kind
def test_a_window_that_somebody_else_wrote_meanwhile_is_named(store):
    """Of five windows one was committed by another writer: it is named, and none of them is changed."""
    place = place_in(store)
    write(place, days(1))
    attempts = place.begin_attempts(DAYS)
    with closing(store.connect()) as faster:
        write(
            Landing(table="events", connect=lambda: nullcontext(faster)),
            {DAYS[3]: rows_of(DAYS[3], 7)},
        )
    before = store.rows()
    with pytest.raises(StaleWriterError, match=DAYS[3].label):
        write(place, days(2), attempts=attempts)
    with pytest.raises(StaleWriterError, match=DAYS[3].label):
        place.write_apart(days(2), time_column="at", attempts=attempts)
    assert store.rows() == before


@in_every_kind
def test_a_bad_window_costs_only_itself(store):
    """A row that belongs to the neighbour: that window keeps its old rows, and all others are new."""
    place = place_in(store)
    write(place, days(1))
    parts = days(2) | {DAYS[1]: rows_of(DAYS[1], 99, at=DAYS[2].start)}
    landed, failed = place.write_apart(parts, time_column="at")
    assert set(landed) == {DAYS[0], *DAYS[2:]}
    assert set(failed) == {DAYS[1]}
    assert isinstance(failed[DAYS[1]], RowOutsideWindow)
    kept = all_of({DAYS[1]: days(1)[DAYS[1]]})
    assert numbers(store) == sorted(kept + all_of(days(2) | {DAYS[1]: rows_of(DAYS[1])}))


def test_windows_with_each_others_rows_are_both_bad(connection):
    """Counts and times are right together, but neither of the two windows has rows of its own."""
    place = Landing(table="events", connect=lambda: nullcontext(connection))
    one, other = (
        rows_of(day, n, at=at.start) for n, (day, at) in enumerate(permutations(DAYS[:2]))
    )
    _, failed = place.write_apart({DAYS[0]: one, DAYS[1]: other}, time_column="at")
    assert list(map(type, failed.values())) == [RowOutsideWindow] * 2


@pytest.mark.parametrize("store", ["duckdb", "postgres"], indirect=True)
def test_those_before_a_bad_window_stay_written(store):
    """`write_rows` stops at the first window that cannot be written, and raises what that one alone raises."""
    place = place_in(store)
    write(place, days(1))
    parts = days(2) | {DAYS[3]: rows_of(DAYS[3], 99, at=DAYS[2].start)}
    with pytest.raises(RowOutsideWindow, match=f"outside of window {DAYS[3].label}") as caught:
        write(place, parts)
    assert caught.value.row == 1
    assert numbers(store) == sorted(
        all_of(dict(list(days(2).items())[:3])) + all_of(dict(list(days(1).items())[3:]))
    )


@pytest.mark.parametrize("store", ["postgres", "psycopg2", "adbc"], indirect=True)
def test_each_window_is_counted_in_the_table(store):
    """A trigger that moves a row from one window of the run to the next, so that their sum is right."""
    place = place_in(store)
    write(place, days(1))
    store.execute(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.n = 210 THEN NEW.at = NEW.at + interval ''1 day''; END IF; RETURN NEW; END';"
        "CREATE TRIGGER meddle BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    landed, failed = place.write_apart(days(2), time_column="at")
    assert set(failed) == {DAYS[1]}
    assert "then the table held 1 of it" in str(failed[DAYS[1]])
    assert len(landed) == 4
    assert {110, 111} <= set(numbers(store))


@in_every_kind
def test_rows_of_another_query_in_one_window_are_refused(store):
    """The window is named before anything is measured, and costs only itself when it is written."""
    place = place_in(store)
    write(place, {DAYS[2]: rows_of(DAYS[2], 7)}, query_key="other")
    with pytest.raises(WindowTakenError, match=DAYS[2].label):
        place.begin_attempts(DAYS, "own")
    landed, failed = place.write_apart(days(1), time_column="at", query_key="own")
    assert list(failed) == [DAYS[2]]
    assert isinstance(failed[DAYS[2]], WindowTakenError)
    assert len(landed) == 4
    assert 7 in numbers(store)
    taking = place_in(store, replace_other=True)
    write(taking, days(2), query_key="own")
    assert numbers(store) == all_of(days(2))


@pytest.mark.parametrize("store", ["duckdb", "postgres", "sqlite"], indirect=True)
def test_sources_share_a_table_in_a_run_of_windows(store):
    """Only the rows of the writer's source are replaced, counted and noted."""
    for source, mark in (("a", 1), ("b", 2), ("a", 3)):
        landed = write(place_in(store, source=source), days(mark))
    assert [landed[window].deleted for window in DAYS] == [1, 2, 0, 1, 2]
    assert numbers(store) == sorted(all_of(days(2)) + all_of(days(3)))
    notes = [committed(store.connection, "events", DAYS[1], source=source) for source in "ab"]
    assert [note.rows for note in notes] == [2, 2]


def test_a_wider_note_of_another_query_goes_with_its_rows(connection):
    """What overlaps the run from outside, of another query that may be replaced, is not whole any more."""
    place = Landing(table="events", connect=lambda: nullcontext(connection), replace_other=True)
    wide = Window(DAYS[0].start, DAYS[4].end + WIDTH)
    write(place, {wide: rows_of(wide, 1)}, query_key="other")
    write(place, days(1), query_key="own")
    assert committed(connection, "events", wide) is None
    assert committed(connection, "events", DAYS[0]).rows == 1


@pytest.fixture
def link(postgres):
    """A place that is written through a link which can be cut, and a straight connection string."""
    parts = conninfo_to_dict(postgres)
    with FaultProxy(int(str(parts["port"])), str(parts["host"])) as made:
        weak = make_conninfo(postgres, host="127.0.0.1", port=made.port)
        place = Landing(
            table="events",
            connect=lambda: closing(psycopg.connect(weak)),
            reconnect=lambda: psycopg.connect(postgres),
        )
        write(place, days(1))
        yield made, place, postgres


def found(address):
    with psycopg.connect(address) as look:
        return sorted(number for (number,) in look.execute("SELECT n FROM events").fetchall())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_commit_of_a_run_is_looked_up(link, arrives):
    """The ledger tells whether the run was committed; if not, its windows are written one by one."""
    cut, place, straight = link
    cut.plan(Fault("lost reply" if arrives else "lost request", on=b"COMMIT\0"))
    landed = write(place, days(2))
    assert cut.injected.total() == 1
    assert [landed[window].rows for window in DAYS] == [1, 2, 0, 1, 2]
    assert found(straight) == all_of(days(2))
    with psycopg.connect(straight) as look:
        notes = {committed(look, "events", window).committed_at for window in DAYS}
    assert len(notes) == (1 if arrives else 5)


def test_a_lost_commit_of_a_run_that_was_partly_overwritten_is_reported(link):
    """Another writer replaced one of the windows before the look: that one is named."""
    cut, place, straight = link
    other = Landing(table="events", connect=lambda: closing(psycopg.connect(straight)))
    seen = []

    def reconnect():
        if not seen:
            seen.append(write(other, {DAYS[1]: rows_of(DAYS[1], 7)}))
        return psycopg.connect(straight)

    cut.plan(Fault("lost reply", on=b"COMMIT\0"))
    asking = Landing(table="events", connect=place.connect, reconnect=reconnect)
    with pytest.raises(StaleWriterError, match=f"{DAYS[1].label}.*holds the rows of another"):
        write(asking, days(2))
    assert found(straight) == sorted([7, *all_of(days(2) | {DAYS[1]: rows_of(DAYS[1])})])


def test_a_run_whose_outcome_nobody_can_tell_is_not_written_again(link):
    """Without another connection each window of the run is unknown, and none is claimed to be old or new."""
    cut, place, straight = link
    cut.plan(Fault("lost reply", on=b"COMMIT\0"))
    blind = Landing(table="events", connect=place.connect)
    landed, failed = blind.write_apart(days(2), time_column="at")
    assert landed == {}
    assert set(failed) == set(DAYS)
    assert all(isinstance(problem, CommitUnknownError) for problem in failed.values())
    assert found(straight) == all_of(days(2))


def test_tables_with_other_columns_are_written_after_each_other(connection):
    """A window whose rows have one column more begins another transaction, as it would alone."""
    place = Landing(table="events", connect=lambda: nullcontext(connection))
    wider = rows_of(DAYS[1], 5).append_column("m", pa.array([6]))
    write(place, {DAYS[0]: rows_of(DAYS[0], 4), DAYS[1]: wider})
    assert connection.sql("SELECT n, m FROM events ORDER BY n").fetchall() == [(4, None), (5, 6)]


def test_a_missing_time_is_reported(connection):
    """A row without a time belongs to no window of the run."""
    place = Landing(table="events", connect=lambda: nullcontext(connection))
    timeless = pa.table({"at": pa.array([None], pa.timestamp("us", "UTC")), "n": [1]})
    with pytest.raises(RowOutsideWindow, match="has at None"):
        write(place, {DAYS[0]: rows_of(DAYS[0], 4), DAYS[1]: timeless})
    assert connection.sql("SELECT n FROM events").fetchall() == [(4,)]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_not_a_time_in_the_table_is_a_typed_error(store):
    """Somebody's text among the times cannot be counted by window: each window is written for itself."""
    place = place_in(store)
    write(place, days(1))
    store.execute(f"UPDATE events SET at = '{DAYS[0].start:%Y-%m-%d} noon' WHERE n = 100")
    landed, failed = place.write_apart(days(2), time_column="at")
    assert (list(landed), failed) == (DAYS, {})
    assert numbers(store) == all_of(days(2))
    assert len({committed(store.connection, "events", each).committed_at for each in DAYS}) == 5


def test_runs_hold_every_window_in_order_and_no_gap():
    """Whatever the order: the runs are the windows, and inside of each there is no gap."""
    for places in chain.from_iterable(permutations(range(5), count) for count in range(6)):
        windows = [DAYS[place] for place in places]
        cut = list(runs(windows))
        assert [window for run in cut for window in run] == windows
        assert all(one.end == other.start for run in cut for one, other in pairwise(run))
        assert all(one[-1].end != other[0].start for one, other in pairwise(cut))
