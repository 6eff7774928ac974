"""A driver that has what PEP 249 asks for and nothing else, in front of a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg

apilevel = "2.0"
threadsafety = 1
paramstyle = "pyformat"
Error = psycopg.Error


class Connection:
    """cursor, commit, rollback, close, and the autocommit that most drivers have."""

    def __init__(self, conninfo: str, **options: Any) -> None:
        self._connection = psycopg.connect(conninfo, **options)
        self.cursor = self._connection.cursor
        self.commit = self._connection.commit
        self.rollback = self._connection.rollback
        self.close = self._connection.close

    @property
    def autocommit(self) -> bool:
        return self._connection.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._connection.autocommit = value
