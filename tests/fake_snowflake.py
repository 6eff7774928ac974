"""A server that answers Snowflake's connector, in this process, with DuckDB behind it: fakesnow.

What it lacks and Snowflake has is added here: the user's own stage, REMOVE, and CURRENT_TRANSACTION().
It has no locks, does not enforce the lengths of texts, and answers the errors of its DuckDB.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import snowflake.connector

# Before its first call, which puts a module of that name in the function's place.
from fakesnow import server as serve
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH

DATABASE = "WAREHOUSE"
_REMOVE = re.compile(r"REMOVE @~/(.*)/")


@contextmanager
def server() -> Iterator[dict[str, Any]]:
    """Arguments for `connect`, without a schema, to a fresh database; stopped afterwards."""
    plain = FakeSnowflakeCursor.execute
    FakeSnowflakeCursor.execute = _completed(plain)
    try:
        with serve() as options:
            yield options | {"database": DATABASE, "network_timeout": 30}
    finally:
        FakeSnowflakeCursor.execute = plain
        shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)


def connect(options: dict[str, Any], schema: str, **more: Any) -> Any:
    """A connection whose schema, and in it the user's stage, is made if it is not there."""
    connection = snowflake.connector.connect(**options | {"schema": schema} | more)
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute(f"USE SCHEMA {schema}")
        cursor.execute('CREATE STAGE IF NOT EXISTS "~"')
    return connection


def _completed(plain: Any) -> Any:
    def execute(self: Any, command: str, *args: Any, **options: Any) -> Any:
        if removed := _REMOVE.fullmatch(command):
            for folder in Path(LOCAL_BUCKET_PATH).glob(f"*/*/~/{removed[1]}"):
                shutil.rmtree(folder)
            command = "SELECT 'removed'"
        if "CURRENT_TRANSACTION()" in command:
            ids = [self._duck_conn.execute("SELECT txid_current()").fetchone() for _ in range(2)]
            answer = "'1'" if ids[0] == ids[1] else "NULL"
            command = command.replace("CURRENT_TRANSACTION()", answer)
        return plain(self, command, *args, **options)

    return execute
