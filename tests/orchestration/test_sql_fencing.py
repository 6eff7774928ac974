"""Of two writers whose windows overlap one commits, and a lost COMMIT is looked up, not guessed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import combinations

import psycopg
import pytest
from hypothesis import given, settings, strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.fault_proxy import Fault, FaultProxy
from tests.orchestration.conftest import EVERY_KIND
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import CommitUnknownError, StaleWriterError, StorageError
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.storage.ledger import Attempt, committed
from vectorshift_orchestration.storage.locks import Territory, whole
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))
BOTH = Window(DAY.start, TOMORROW.end)
LATE = Window(NOON, NOON + timedelta(days=1))
COMMIT = b"COMMIT\0"
in_every_kind = pytest.mark.parametrize("store", EVERY_KIND, indirect=True)


def write(connection, window=DAY, n=1, **options):
    rows = [batch([window.start], n=[n])]
    return overwrite_window(connection, "events", window, rows, time_column="at", **options)


@in_every_kind
def test_a_writer_that_began_earlier_gives_way(store):
    """Somebody commits the window, or one that overlaps it, after this attempt began."""
    write(store.connection)
    write(store.connection, TOMORROW)
    for n, other in enumerate((DAY, BOTH, LATE), start=2):
        attempt = begin_attempt(store.connection, "events", DAY)
        with closing(store.connect()) as faster:
            write(faster, other, n=n)
        before = store.rows()
        with pytest.raises(StaleWriterError, match="after this one began"):
            write(store.connection, n=99, attempt=str(attempt))
        assert store.rows() == before
    write(store.connection, n=5, attempt=begin_attempt(store.connection, "events", DAY))
    assert (DAY.start, 5) in store.rows()


def test_a_neighbour_does_not_disturb(store):
    """Windows that touch only at an edge are written side by side."""
    attempt = begin_attempt(store.connection, "events", DAY)
    write(store.connection, TOMORROW, n=2)
    write(store.connection, DAY, n=1, attempt=attempt)
    assert store.rows() == [(DAY.start, 1), (DAY.end, 2)]


def test_an_attempt_commits_once(store):
    """An attempt's token is of no use after its commit: the next try takes its own."""
    attempt = begin_attempt(store.connection, "events", DAY)
    write(store.connection, attempt=attempt)
    assert committed(store.connection, "events", DAY).attempt_token == str(attempt)
    with pytest.raises(StaleWriterError):
        write(store.connection, attempt=attempt)
    assert Attempt.parse(str(attempt)) == attempt
    for wrong in ("", "x", f"{0:032}", f"{0:032}.{0:032}.{0:032}", f"{0:032}.{0:031}g"):
        with pytest.raises(StorageError, match="is not an attempt"):
            Attempt.parse(wrong)


@in_every_kind
@pytest.mark.parametrize("other", [DAY, BOTH, LATE], ids=["same", "wider", "overlapping"])
def test_of_two_writers_at_once_one_commits(store, other):
    """Both begin while the table is as it was; the second waits for the lock and then gives way."""
    write(store.connection, TOMORROW, n=0)
    inside, begun = threading.Event(), threading.Event()

    def first():
        def wait():
            inside.set()
            assert begun.wait(20)

        with closing(store.connect()) as connection:
            write(connection, DAY, 1, before_commit=wait)

    def second():
        with closing(store.connect()) as connection:
            attempt = begin_attempt(connection, "events", other)
            assert inside.wait(20)
            begun.set()
            write(connection, other, 2, attempt=attempt)

    with ThreadPoolExecutor(2) as pool:
        losing, winning = pool.submit(second), pool.submit(first)
        winning.result(30)
        with pytest.raises(StaleWriterError):
            losing.result(30)
    assert store.rows() == [(DAY.start, 1), (DAY.end, 0)]


EDGES = st.integers(-3 * 24 * 60, 3 * 24 * 60).map(lambda minute: NOON + timedelta(minutes=minute))
WINDOWS = st.tuples(EDGES, EDGES).filter(lambda ends: ends[0] != ends[1]).map(sorted)


def locks(window):
    return list(Territory(TableName("t", "s"), window).locks())


def conflict(one, other):
    return any(a.key == b.key and (a.exclusive or b.exclusive) for a in one for b in other)


@given(st.lists(WINDOWS, min_size=2, max_size=4))
@settings(deadline=None)
def test_overlapping_windows_always_share_a_lock(ends):
    """Any two windows that share an instant conflict, and everybody takes locks in one order."""
    windows = [Window(*pair) for pair in ends]
    for one, other in combinations(windows, 2):
        taken = locks(one), locks(other)
        if one.start < other.end and other.start < one.end:
            assert conflict(*taken)
        assert conflict(taken[0], [whole(TableName("t", "s"))])
        shared = [{lock.key for lock in side} for side in taken]
        both = shared[0] & shared[1]
        first, second = ([lock.key for lock in side if lock.key in both] for side in taken)
        assert first == second


def test_days_and_hours_do_not_wait_for_each_other():
    """Neighbouring days, and the hours of one day, share no exclusive lock; tables share none."""
    for step in (timedelta(days=1), timedelta(hours=1)):
        for one, other in combinations(BOTH.split(step), 2):
            assert not conflict(locks(one), locks(other))
    assert not conflict(locks(DAY), list(Territory(TableName("u", "s"), DAY).locks()))
    years = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert len(locks(years)) == 1


@pytest.fixture
def link(postgres):
    """A connection string that goes through a link which can be cut, and the straight one."""
    parts = conninfo_to_dict(postgres)
    with FaultProxy(int(str(parts["port"])), str(parts["host"])) as made:
        yield made, make_conninfo(postgres, host="127.0.0.1", port=made.port), postgres


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_commit_is_looked_up(link, arrives):
    """The link breaks on COMMIT, after or before the server got it: the ledger tells which."""
    cut, weak, straight = link
    with psycopg.connect(straight) as setup:
        write(setup, n=0)
    not_done = pytest.raises(StorageError, match="it was not done")
    with closing(psycopg.connect(weak)) as connection, nullcontext() if arrives else not_done:
        cut.plan(Fault("lost reply" if arrives else "lost request", on=COMMIT))
        assert write(connection, n=1, reconnect=lambda: psycopg.connect(straight)).rows == 1
    assert cut.injected.total() == 1
    with psycopg.connect(straight) as look:
        assert look.execute("SELECT n FROM events").fetchall() == [(int(arrives),)]


def test_a_commit_that_is_still_under_way_is_waited_for(link):
    """The server is busy committing when the link breaks: the answer comes after its end."""
    cut, weak, straight = link
    with psycopg.connect(straight) as setup:
        write(setup, n=0)
        setup.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END';"
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    connection = psycopg.connect(weak)
    cut.plan(Fault("unanswered", on=COMMIT))
    assert write(connection, n=1, reconnect=lambda: psycopg.connect(straight)).rows == 1
    with psycopg.connect(straight) as look:
        assert look.execute("SELECT n FROM events").fetchall() == [(1,)]
    connection.close()


def test_a_lost_commit_that_somebody_overwrote_is_reported(link):
    """Between the loss and the look another writer committed: this one's rows are not the table's."""
    cut, weak, straight = link

    def reconnect():
        connection = psycopg.connect(straight)
        if not write_was_seen:
            write_was_seen.append(write(connection, n=2))
        return connection

    write_was_seen = []
    connection = psycopg.connect(weak)
    cut.plan(Fault("lost reply", on=COMMIT))
    with pytest.raises(StaleWriterError, match="another writer, who committed after"):
        write(connection, n=1, reconnect=reconnect)
    connection.close()


def test_without_another_connection_the_outcome_is_unknown(link):
    """No `reconnect`: the error says so, names the attempt, and never claims either."""
    cut, weak, straight = link
    connection = psycopg.connect(weak)
    attempt = begin_attempt(connection, "events", DAY)
    cut.plan(Fault("lost reply", on=COMMIT))
    with pytest.raises(CommitUnknownError, match="not known which") as caught:
        write(connection, attempt=attempt)
    assert caught.value.attempt_token == str(attempt)
    with psycopg.connect(straight) as look:
        assert committed(look, "events", DAY).attempt_token == str(attempt)
    connection.close()
