"""A database of which nothing is known is tried in a table of its own: it passes once, or is refused in words."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import psycopg2
import pytest
from adbc_driver_postgresql import dbapi

from tests import plain_driver
from tests.orchestration.conftest import uri
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import SchemaMismatch, StorageError
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window

NOON = DAY.start + timedelta(hours=12)
DRIVERS = {
    "psycopg": psycopg.connect,
    "psycopg2": psycopg2.connect,
    "adbc": lambda conninfo: dbapi.connect(uri(conninfo)),
}
SCRATCH = "SELECT count(*) FROM pg_tables WHERE tablename LIKE '\\_vectorshift\\_trial%'"


class Meddling(plain_driver.Connection):
    """A real PostgreSQL behind a driver that rewrites statements, as if its database knew less."""

    __module__ = plain_driver.__name__

    def __init__(self, conninfo, *, words=(), values=lambda value: value, zone=None, keeps=False):
        super().__init__(conninfo)
        self.statements = []
        plain, meddler = self.cursor, self

        class Cursor:
            def __init__(self):
                self._cursor = plain()

            def __getattr__(self, name):
                return getattr(self._cursor, name)

            def execute(self, statement, parameters=()):
                meddler.statements.append(statement)
                if zone is not None:
                    self._cursor.execute(f"SET TIME ZONE '{zone}'")
                for word, other in words:
                    statement = statement.replace(word, other)
                self._cursor.execute(statement, [values(value) for value in parameters])

            def executemany(self, statement, rows):
                for row in rows:
                    self.execute(statement, row)

        self.cursor = Cursor
        if keeps:  # each statement is committed, whatever the connection says
            self.rollback = self.commit


FAULTS = {
    "fractions of a second are cut": (
        {"words": [("TIMESTAMP", "TIMESTAMP(0)")]},
        r"it made 2026-03-29 01:30:00\+00:00 of 2026-03-29 01:30:00.123456",
    ),
    "a session's zone shifts instants": (
        {"words": [("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")], "zone": "Asia/Tokyo"},
        "it made 2026-03-28 16:30:00.123456",
    ),
    "an empty text becomes NULL": (
        {"values": lambda value: None if value == "" else value},
        "it made None of an empty text",
    ),
    "NULL becomes an empty text": (
        {"values": lambda value: "" if value is None else value},
        "it refused: invalid input syntax for type bigint",
    ),
    "long texts are cut": (
        {"values": lambda value: value[:65535] if isinstance(value, str) else value},
        r"it made 'long long long long ' \(65,535 characters\) of a text of 100,000 characters",
    ),
    "long texts are refused": (
        {"words": [(" TEXT", " VARCHAR(4000)")]},
        "it refused: value too long",
    ),
    "whole numbers become doubles": (
        {"words": [("BIGINT", "DOUBLE PRECISION")]},
        "it made 9.223372036854776e",
    ),
    "each statement is committed": ({"keeps": True}, "a rollback did not undo"),
}


def write(connection, number=1):
    rows = [batch([NOON], n=[number])]
    return overwrite_window(connection, "events", DAY, rows, time_column="at")


@pytest.mark.parametrize(("meddling", "why"), FAULTS.values(), ids=FAULTS)
def test_a_database_that_changes_what_is_written_is_refused(postgres, meddling, why):
    """Before any work and before the write: what became of the value is reported, and no table is left."""
    with closing(Meddling(postgres, **meddling)) as connection:
        for attempt in (write, lambda given: begin_attempt(given, "events", DAY)):
            with pytest.raises(StorageError, match=f"events.*tried in a table of its own.*{why}"):
                attempt(connection)
    with psycopg.connect(postgres) as outside:
        assert outside.execute(SCRATCH).fetchone() == (0,)
        assert outside.execute("SELECT to_regclass('events')").fetchone() == (None,)


def test_a_database_that_passes_is_tried_once(postgres):
    """Its first use costs the trial; other connections and later ones find that it was tried."""
    tries = []
    for number in (1, 2):
        with closing(Meddling(postgres)) as connection:
            begin_attempt(connection, "events", DAY)
            assert write(connection, number).rows == 1
            tries.append(sum("_vectorshift_trial" in each for each in connection.statements))
    assert tries[0] > 5
    assert tries[1] == 0
    with psycopg.connect(postgres) as outside:
        assert outside.execute("SELECT n FROM events").fetchall() == [(2,)]
        assert outside.execute(SCRATCH).fetchone() == (0,)


def test_a_driver_that_refuses_to_go_on_beside_an_unread_result_is_served(postgres):
    """Every result is read to its end before the next statement."""
    with closing(Meddling(postgres)) as connection:
        unread = []
        plain = connection.cursor

        class Strict(plain):
            def execute(self, statement, parameters=()):
                assert not unread, f"{unread} was not read before {statement}"
                super().execute(statement, parameters)
                if self._cursor.description:
                    unread.append(statement)

            def fetchall(self):
                unread.clear()
                return self._cursor.fetchall()

        connection.cursor = Strict
        for number in (1, 2):
            write(connection, number)


@pytest.mark.parametrize("kind", ["psycopg", "psycopg2", "adbc"])
def test_a_ledger_that_another_driver_made_is_gone_on_with(postgres, kind):
    """It has columns without a zone and texts with a length; notes are read and fenced whatever the session's zone."""
    with closing(plain_driver.Connection(postgres)) as connection:
        write(connection)
    with closing(DRIVERS[kind](postgres)) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET TIME ZONE 'Asia/Kathmandu'")
        connection.commit()
        for number in (1, 2):
            rows = [batch([NOON], n=[number])]
            attempt = begin_attempt(connection, "others", DAY)
            overwrite_window(connection, "others", DAY, rows, time_column="at", attempt=attempt)
        for table in ("events", "others"):
            told = committed(connection, table, DAY)
            assert (told.window, told.rows) == (DAY, 1)
            assert abs(told.committed_at - datetime.now(UTC)) < timedelta(minutes=5)
        with pytest.raises(SchemaMismatch, match=r"Column 'at' of .*events"):
            write(connection)
    with closing(plain_driver.Connection(postgres)) as connection:
        assert committed(connection, "others", DAY).rows == 1
        write(connection, 2)
