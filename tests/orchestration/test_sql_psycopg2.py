"""PostgreSQL by psycopg2: instants, rows and transactions are those of psycopg 3."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import psycopg
import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import create_engine

from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import StaleWriterError, StorageError
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window

NOON = DAY.start + timedelta(hours=12)
ROW_CLASSES = ["DictCursor", "RealDictCursor", "NamedTupleCursor", "LoggingCursor"]


def write(connection, batches, **options):
    return overwrite_window(connection, "events", DAY, batches, time_column="at", **options)


def connected(postgres, **options):
    return closing(psycopg2.connect(postgres, **options))


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "UTC"])
def test_instants_are_the_same_in_any_zone_and_by_either_driver(postgres, zone):
    """A table of psycopg 3 is written again by psycopg2 from elsewhere: same rows, one ledger row."""
    rows = [batch([DAY.start, DAY.end - timedelta(milliseconds=1)], n=[1, 2])]
    with psycopg.connect(postgres) as modern:
        write(modern, rows)
        with connected(postgres) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"SET TIME ZONE '{zone}'; SET datestyle TO 'German, DMY'")
            connection.commit()
            assert write(connection, rows).deleted == 2
            reported = committed(connection, "events", DAY)
        assert write(modern, rows).deleted == 2
        assert modern.execute("SELECT count(*) FROM _vectorshift_windows").fetchone() == (1,)
        result = modern.execute('SELECT "at" FROM events ORDER BY 1').fetchall()
        assert result == [(DAY.start,), (DAY.end - timedelta(milliseconds=1),)]
        assert reported.committed_at < committed(modern, "events", DAY).committed_at


@pytest.mark.parametrize("name", ROW_CLASSES)
def test_a_stale_writer_gives_way_whatever_its_rows_look_like(postgres, name):
    """Rows as dicts or named tuples are read by position."""
    factory = getattr(psycopg2.extras, name.replace("LoggingCursor", "RealDictCursor"))
    with connected(postgres, cursor_factory=factory) as slow, connected(postgres) as fast:
        write(slow, [batch([NOON], n=[1])])
        attempt = begin_attempt(slow, "events", DAY)
        write(fast, [batch([NOON], n=[2])])
        with pytest.raises(StaleWriterError):
            write(slow, [batch([NOON], n=[3])], attempt=attempt)
        assert committed(slow, "events", DAY).rows == 1


def test_an_open_transaction_stays_the_callers(postgres):
    """It is refused, and what is in it is neither committed nor rolled back."""
    with connected(postgres) as connection, psycopg.connect(postgres, autocommit=True) as look:
        look.execute("CREATE TABLE mine (n integer)")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO mine VALUES (1)")
        for attempt in (write, lambda c, _: begin_attempt(c, "events", DAY)):
            with pytest.raises(StorageError, match="already open on this connection"):
                attempt(connection, [batch([NOON])])
        assert committed(connection, "events", DAY) is None
        assert look.execute("SELECT n FROM mine").fetchall() == []
        connection.commit()
        assert look.execute("SELECT n FROM mine").fetchall() == [(1,)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_failure_undoes_everything_and_keeps_the_mode(postgres, autocommit):
    """A source that breaks, an interrupt, a callback that refuses: the old row stays."""
    with connected(postgres) as connection:
        connection.autocommit = autocommit
        write(connection, [batch([NOON], n=[1])])

        def breaking(problem):
            yield batch([NOON], n=[2])
            raise problem

        for problem in (ConnectionResetError("cut"), KeyboardInterrupt()):
            with pytest.raises(type(problem)):
                write(connection, breaking(problem))

        def refuse():
            raise PermissionError

        with pytest.raises(PermissionError):
            write(connection, [batch([NOON], n=[3])], before_commit=refuse)
        assert connection.autocommit is autocommit
        write(connection, [batch([NOON], n=[4])], attempt=begin_attempt(connection, "events", DAY))
    with psycopg.connect(postgres) as look:
        assert look.execute("SELECT n FROM events").fetchall() == [(4,)]


def test_what_would_change_texts_or_cannot_be_waited_for_is_refused(postgres):
    """Another encoding, an asynchronous connection, one that is closed."""
    with connected(postgres) as connection:
        connection.set_client_encoding("LATIN1")
        with pytest.raises(StorageError, match="set_client_encoding"):
            write(connection, [batch([NOON], s=["\N{CHECK MARK}"])])
        connection.set_client_encoding("UTF8")
        write(connection, [batch([NOON], s=["\N{CHECK MARK}"])])
    with pytest.raises(StorageError, match="closed"):
        write(connection, [batch([NOON])])
    with (
        closing(psycopg2.connect(postgres, async_=True)) as waiting,
        pytest.raises(StorageError, match="blocks"),
    ):
        write(waiting, [batch([NOON])])


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemys_raw_connection_is_the_drivers(postgres, driver):
    """It is taken by what is behind it; an engine's own connection is told what to give."""
    module = psycopg if driver == "psycopg" else psycopg2
    engine = create_engine(f"postgresql+{driver}://", creator=lambda: module.connect(postgres))
    with closing(engine.raw_connection()) as connection:
        assert write(connection, [batch([NOON])]).rows == 1
        assert committed(connection, "events", DAY).rows == 1
    with engine.connect() as connection, pytest.raises(StorageError, match="raw_connection"):
        write(connection, [batch([NOON])])
    engine.dispose()
