"""Where exports land: files, and a database with a user whose password must not get out."""

from __future__ import annotations

import csv
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo


@dataclass(frozen=True)
class Warehouse:
    """A database of its own in the server of Airflow's.

    `uri` is its address as an Airflow connection, with the password in it.
    """

    conninfo: str
    uri: str = field(repr=False)
    password: str = field(repr=False)

    def rows(self, table: str) -> list[tuple[str]]:
        """The ids in a table, in order; none when there is no table."""
        with psycopg.connect(self.conninfo) as connection:
            if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                return []
            requested = sql.SQL("SELECT span_id FROM {} ORDER BY 1").format(sql.Identifier(table))
            return connection.execute(requested).fetchall()


def warehouse_in(server: str) -> Warehouse:
    """Make the database and its user."""
    password = f"pw_canary_{secrets.token_hex(12)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE USER loader PASSWORD '{password}'")
        connection.execute("CREATE DATABASE warehouse OWNER loader")
    where = conninfo_to_dict(server)
    uri = f"postgresql://loader:{password}@{where['host']}:{where['port']}/warehouse"
    return Warehouse(make_conninfo(server, dbname="warehouse"), uri, password)


def ids_in(path: Path) -> list[tuple[str]]:
    """The ids in an export's CSV file, in order."""
    with path.open(newline="") as file:
        return sorted((row["span_id"],) for row in csv.DictReader(file))
