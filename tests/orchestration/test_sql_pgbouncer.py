"""PostgreSQL behind PgBouncer in transaction mode: each transaction has another session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import uuid4

import psycopg
import psycopg2
import pytest
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import make_conninfo

from tests.orchestration.conftest import uri
from tests.orchestration.rows import DAY, batch
from tests.pgbouncer import pooler
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

DAYS = Window(DAY.start, DAY.start + timedelta(days=7)).split("day")
AWKWARD = ["N\N{LATIN SMALL LETTER A WITH DIAERESIS}me \N{CHECK MARK}", "a\\b\tc\nd", "it's 100%s"]
DRIVERS = {
    "psycopg": psycopg.connect,
    "psycopg, autocommit": partial(psycopg.connect, autocommit=True),
    "psycopg, prepares at once": partial(psycopg.connect, prepare_threshold=0),
    "psycopg, LATIN1": partial(psycopg.connect, client_encoding="LATIN1"),
    "psycopg2": partial(psycopg2.connect, client_encoding="UTF8"),
    "adbc": lambda conninfo: dbapi.connect(uri(conninfo)),
    "adbc, autocommit": lambda conninfo: dbapi.connect(uri(conninfo), autocommit=True),
}
SOURCE = "\N{CHECK MARK} it's \\ one"
HOSTILE = {
    "DateStyle": "German, DMY",
    "TimeZone": "'Asia/Kathmandu'",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
}


@pytest.fixture(scope="module")
def pooled(postgres_schemas):
    """A connection string that leads through the pooler."""
    with pooler(postgres_schemas.conninfo) as conninfo:
        yield conninfo


@pytest.fixture(params=DRIVERS)
def connect(request, pooled):
    """Opens a connection through the pooler, each time by the same driver."""
    return lambda conninfo=pooled: closing(DRIVERS[request.param](conninfo))


def land(connection, table, day):
    rows = [batch([day.start, day.end - timedelta(milliseconds=1)], s=AWKWARD[:2])]
    attempt = begin_attempt(connection, table, day, query_key="q")
    return overwrite_window(
        connection, table, day, rows, time_column="at", attempt=attempt, query_key="q"
    )


@pytest.fixture
def hostile(postgres_schemas):
    """A database without an encoding, whose sessions have none of the usual settings."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_schemas.conninfo, autocommit=True) as root:
        root.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0")
        for setting, value in HOSTILE.items():
            root.execute(f"ALTER DATABASE {name} SET {setting} TO {value}")
        yield name
        root.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_week_lands_by_many_connections_and_by_one(connect, pooled, postgres_schemas):
    """Seven runs at once, each over a connection of its own, and then one run of seven windows, twice."""
    table = f"{postgres_schemas.new_name()}.events"

    def run(day):
        with connect() as connection:
            written = land(connection, table, day)
            return written.rows, written.deleted, committed(connection, table, day).rows

    with ThreadPoolExecutor(len(DAYS)) as runs:
        assert list(runs.map(run, DAYS)) == [(2, 0, 2)] * 7
    with connect() as connection:
        for day in DAYS * 2:
            assert land(connection, table, day).deleted == 2
    with psycopg.connect(postgres_schemas.conninfo) as look:
        result = look.execute(f'SELECT count(*), min("at"), max("at") FROM {table}').fetchone()
        assert result == (14, DAYS[0].start, DAYS[-1].end - timedelta(milliseconds=1))


def test_no_setting_of_a_session_changes_what_is_written(connect, pooled, hostile):
    """Texts and instants arrive as they were sent in a database whose own settings are all unusual."""
    rows = [batch([DAY.start] * 3, s=AWKWARD, x=[0.1, 1e-300, 2.5])]
    with connect(make_conninfo(pooled, dbname=hostile)) as connection:
        for deleted in (0, 3):
            written = overwrite_window(
                connection, "events", DAY, rows, time_column="at", source=SOURCE
            )
            assert written.deleted == deleted
        assert committed(connection, "events", DAY, source=SOURCE).rows == 3
    with psycopg.connect(pooled, dbname=hostile, client_encoding="UTF8") as look:
        look.execute("SET extra_float_digits TO 1; SET TIME ZONE 'UTC'; SET DateStyle TO ISO")
        result = look.execute('SELECT s, x, "at"::text, source_name::text FROM events').fetchall()
    texts = [row[0] for row in result]
    assert (texts, [row[1] for row in result]) == (AWKWARD, [0.1, 1e-300, 2.5])
    assert {row[2:] for row in result} == {("2026-11-22 00:00:00+00", SOURCE)}


@pytest.mark.parametrize("driver", [psycopg, psycopg2])
def test_a_search_path_that_the_pooler_drops_is_reported(pooled, postgres_schemas, driver):
    """Where `options` never reached the server, the rows would be in another schema; a schema in the name holds."""
    schema = postgres_schemas.new_name()
    requested = make_conninfo(pooled, options=f"-c search_path={schema}")
    with closing(driver.connect(requested)) as connection:
        with pytest.raises(StorageError, match=f"search_path.*{schema}"):
            land(connection, "events", DAY)
        assert land(connection, f"{schema}.events", DAY).rows == 2


def test_pipeline_mode_is_refused(pooled):
    """Nothing is written inside of a pipeline, and what to do is said."""
    with (
        psycopg.connect(pooled) as connection,
        connection.pipeline(),
        pytest.raises(StorageError, match="pipeline"),
    ):
        land(connection, "events", DAY)
