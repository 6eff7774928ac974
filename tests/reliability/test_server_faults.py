"""The server dies, hangs up or makes wait: the window is all old or all new (F13)."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta

import psycopg
import pytest

from tests.orchestration.rows import DAY, batch
from tests.postgres import server
from vectorshift_orchestration.errors import CommitUnknownError, StorageError
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import overwrite_window

MOMENTS = ("while loading", "before the commit", "after the commit")
ROUNDS = range(-(-int(os.environ.get("LIVE_KILLS", "1")) // len(MOMENTS)))
"""As many of each fault as `make kills` says."""
NOON = DAY.start + timedelta(hours=12)


@pytest.fixture(scope="module")
def own():
    """A server that may be killed."""
    with server() as created:
        yield created


@pytest.fixture
def connection(own):
    """A connection to a server whose table holds one old row."""
    with psycopg.connect(own.conninfo) as setup:
        setup.execute(
            "DROP TABLE IF EXISTS events, _vectorshift_windows; DROP FUNCTION IF EXISTS slow"
        )
    with psycopg.connect(own.conninfo) as setup:
        write(setup, [batch([NOON], n=[0])])
    opened = psycopg.connect(own.conninfo)
    yield opened
    opened.close()


def write(connection, batches, **options):
    return overwrite_window(connection, "events", DAY, batches, time_column="at", **options)


def rows(own):
    with psycopg.connect(own.conninfo) as look:
        result = look.execute("SELECT n FROM events ORDER BY n").fetchall()
        assert committed(look, "events", DAY).rows == len(result)
        return [row[0] for row in result]


def restarted(own, how):
    own.stop(how)
    own.start()


def recovered(own):
    """A killed backend makes the server start its own recovery; wait for its end."""
    while True:
        try:
            return psycopg.connect(own.conninfo).close()
        except psycopg.OperationalError:
            continue


FAULTS = {
    "terminated": lambda own, pid: psycopg.connect(own.conninfo, autocommit=True).execute(
        "SELECT pg_terminate_backend(%s)", [pid]
    ),
    "killed": lambda own, pid: (os.kill(pid, signal.SIGKILL), recovered(own)),
    "stopped at once": lambda own, pid: restarted(own, "immediate"),
    "stopped fast": lambda own, pid: restarted(own, "fast"),
}


@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_server_goes_away(own, connection, fault, moment, number):
    """The session ends in the middle, before, or just after the COMMIT."""
    pid = connection.info.backend_pid

    def strike():
        broken = FAULTS[fault](own, pid)
        if isinstance(broken, psycopg.Cursor):
            broken.connection.close()

    def batches():
        yield batch([NOON] * 2, n=[1, 2])
        if moment == "while loading":
            strike()
        yield batch([NOON] * 2, n=[3, 4])

    if moment == "after the commit":
        write(connection, batches())
        strike()
        assert rows(own) == [1, 2, 3, 4]
        return
    with pytest.raises(StorageError, match="was not changed"):
        write(
            connection,
            batches(),
            before_commit=strike if moment == "before the commit" else None,
            reconnect=lambda: psycopg.connect(own.conninfo),
        )
    assert rows(own) == [0]


@pytest.mark.parametrize("answer", ["reconnect", "nobody"])
def test_the_server_dies_while_it_commits(own, connection, answer):
    """COMMIT was sent, the server died over it: the ledger tells, once the server is back."""
    with psycopg.connect(own.conninfo) as setup:
        setup.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';"
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION slow()"
        )

    def die_and_come_back():
        with psycopg.connect(own.conninfo, autocommit=True) as look:
            asleep = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
            while not look.execute(asleep, [connection.info.backend_pid]).fetchone():
                pass
        restarted(own, "immediate")

    fate = threading.Thread(target=die_and_come_back)
    fate.start()
    again = {"reconnect": lambda: psycopg.connect(own.conninfo)} if answer == "reconnect" else {}
    with pytest.raises(StorageError, match="COMMIT") as caught:
        write(connection, [batch([NOON], n=[1])], **again)
    fate.join()
    assert isinstance(caught.value, CommitUnknownError) == (answer == "nobody")
    assert rows(own) == [0]


def test_a_lock_that_takes_too_long(own, connection):
    """With the server's own lock_timeout a writer that waits for another one gives up, cleanly."""
    connection.execute("SET lock_timeout = '50ms'")
    connection.commit()

    def second():
        with pytest.raises(StorageError, match="lock timeout"):
            write(connection, [batch([NOON], n=[2])])

    with psycopg.connect(own.conninfo) as first:
        write(first, [batch([NOON], n=[1])], before_commit=second)
    assert rows(own) == [1]
