"""Exports and figures over Airflow's hooks of each database: once, also when run again, and the old rows where one fails."""

import json
import sqlite3
from contextlib import closing
from importlib.util import find_spec

import duckdb
import psycopg
import pytest
from snowflake.connector.connection import DEFAULT_CONFIGURATION

from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
)
from tests import fake_snowflake, mariadb
from tests.airflow.running import last_day, postgres_connection, truth
from tests.orchestration.conftest import uri
from vectorshift_orchestration.errors import PublishError, StorageError


class Database:
    """What Airflow knows of a connection, and a connection from outside."""

    def __init__(self, request, folder):
        self.request, self.folder = request, folder
        self.define(**self.fields())

    def define(self, **fields):
        monkeypatch = self.request.getfixturevalue("monkeypatch")
        monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(fields))

    def ids(self):
        return sorted(tuple(row) for row in self.query("SELECT span_id FROM analytics.events"))

    def query(self, statement):
        with closing(self.outside()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


class DuckDb(Database):
    """A file that is named as the schema is, so that `analytics.events` could mean either."""

    def fields(self):
        self.file = str(self.folder / "analytics.duckdb")
        return {"conn_type": "duckdb", "host": self.file}

    def outside(self):
        return duckdb.connect(self.file)

    def ids(self):
        return sorted(self.query("SELECT span_id FROM analytics.analytics.events"))


class Sqlite(Database):
    """Tables of an attached file have its name before them."""

    def fields(self):
        self.file = str(self.folder / "events.sqlite")
        return {"conn_type": "sqlite", "host": self.file}

    def outside(self):
        return sqlite3.connect(self.file)

    def ids(self):
        return sorted(self.query("SELECT span_id FROM main.events"))


class Postgres(Database):
    """The hook takes whichever driver it finds; provider 7 takes psycopg 3 where SQLAlchemy is 2."""

    psycopg3 = True

    def fields(self):
        from airflow.providers.postgres.hooks import postgres

        monkeypatch = self.request.getfixturevalue("monkeypatch")
        monkeypatch.setattr(postgres, "USE_PSYCOPG3", self.psycopg3)
        self.conninfo = self.request.getfixturevalue("postgres_schemas").new()
        return postgres_connection(self.conninfo)

    def outside(self):
        return psycopg.connect(self.conninfo)

    def ids(self):
        return sorted(self.query("SELECT span_id FROM events"))


class Psycopg2(Postgres):
    """As the official constraints of Airflow 3.1 have it."""

    psycopg3 = False


class Adbc(Postgres):
    """The driver is named in the connection's extra."""

    def fields(self):
        super().fields()
        options = {"uri": uri(self.conninfo)}
        extra = {"driver": "adbc_driver_postgresql", "db_kwargs": options}
        return {"conn_type": "adbc", "extra": extra}


class OfDriver(Database):
    """The provider's hook where it is installed (`make environments`), else one for the driver alone."""

    def define(self, **fields):
        if find_spec(f"airflow.providers.{fields['conn_type']}"):
            super().define(**fields)
        else:
            self.stand_in(**fields)

    def stand_in(self, **fields):
        from airflow.providers.common.sql.hooks.sql import DbApiHook
        from airflow.sdk import Connection

        database = self

        class Hook(DbApiHook):
            conn_name_attr = "conn_id"
            supports_autocommit = True

            def get_conn(self):
                return database.outside()

            def set_autocommit(self, connection, autocommit):
                connection.autocommit(autocommit)  # as both hooks do

        super().define(**fields)
        monkeypatch = self.request.getfixturevalue("monkeypatch")
        monkeypatch.setattr(Connection, "get_hook", lambda _: Hook(conn_id="db"))


class MySql(OfDriver):
    """MariaDB, whose schema is a database."""

    def fields(self):
        self.port = self.request.getfixturevalue("mysql_port")
        return {"conn_type": "mysql", "host": "127.0.0.1", "port": self.port, "login": "root"}

    def outside(self):
        return mariadb.by_pymysql(self.port)


class Snowflake(OfDriver):
    """Snowflake's connector, and a server that answers it."""

    def fields(self):
        self.options = self.request.getfixturevalue("snowflake_options")
        named = {"user": "login", "password": "password"}
        fields = {named[name]: self.options[name] for name in named}
        monkeypatch = self.request.getfixturevalue("monkeypatch")
        # The server speaks plain HTTP, which a connection of Airflow's has no field for.
        monkeypatch.setitem(DEFAULT_CONFIGURATION, "protocol", (self.options["protocol"], str))
        fake_snowflake.connect(self.options, "OWN").close()
        taken = ("account", "host", "port", "database", "session_parameters")
        extra = {name: self.options[name] for name in taken}
        return {"conn_type": "snowflake", "schema": "OWN", "extra": extra, **fields}

    def outside(self):
        return fake_snowflake.connect(self.options, "OWN")


@pytest.fixture
def mysql_port():
    """The port of a running MariaDB."""
    with mariadb.server() as port:
        yield port


@pytest.fixture
def snowflake_options():
    """How to connect to a running server that answers as Snowflake does."""
    with fake_snowflake.server() as options:
        yield options


@pytest.mark.filterwarnings("ignore::UserWarning:fakesnow")
@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (DuckDb, "analytics.events"),
        (Sqlite, "events"),
        (Postgres, "events"),
        (Psycopg2, "events"),
        (Adbc, "events"),
        (MySql, "analytics.events"),
        (Snowflake, "analytics.events"),
    ],
)
def test_an_export_and_figures_land_over_the_hook(kind, table, emulator, request, tmp_path):
    """The same day again replaces it; where the file cannot be published behind the load, the rows stay the old ones."""
    database, day = kind(request, tmp_path), last_day()

    def export(**arguments):
        task = VectorShiftExportOperator(
            **{"task_id": "export", "start": day.start, "end": day.end, "poll_interval": 0.05},
            **{"table": table, "sql_conn_id": "db"},
            **arguments,
        )
        return task.execute({})["rows"]

    def measure():
        return VectorShiftAggregateOperator(
            **{"task_id": "measure", "metrics": ["runs.sum"], "interval": "day"},
            **{"start": day.start, "end": day.end, "sql_conn_id": "db"},
            table=f"{table}_a_day",
        ).execute({})

    for deleted in (0, 1):
        count = export()
        assert database.ids() == truth(emulator, day)
        assert count == len(database.ids()) > 0
        figures = measure()
        assert (figures["rows"], figures["deleted"]) == (1, deleted)
    emulator.burst(3, at=day.start)
    (tmp_path / "a file").touch()
    with pytest.raises((PublishError, StorageError)):
        export(destination=tmp_path / "a file" / "events.csv")
    assert len(database.ids()) == count
    assert export() == count + 3
    assert database.ids() == truth(emulator, day)
