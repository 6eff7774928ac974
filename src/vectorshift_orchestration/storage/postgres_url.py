"""A PostgreSQL database by its URL, which holds a password and is never repeated."""

from __future__ import annotations

import re
from typing import Any

from vectorshift_orchestration.errors import StorageError

_SEARCH_PATH = re.compile(r"search_path=((?:\\.|\S)*)")


def address(url: str) -> str:
    """The database without user, password and options. Raises `StorageError` for an unreadable URL."""
    parts = _parts(url)
    host, port, name = (str(parts.get(key, "")) for key in ("host", "port", "dbname"))
    host = "" if host.startswith("/") else host  # a folder of sockets is not a host name
    return f"postgresql://{host}{f':{port}' if host and port else ''}/{name}"


def search_path(options: str) -> str | None:
    """The search path that a connection's options ask for, or None."""
    paths = _SEARCH_PATH.findall(options)
    return re.sub(r"\\(.)", r"\1", paths[-1]) if paths else None


def schema_and_database(url: str) -> tuple[str, str]:
    """The schema of names that have none, as far as the URL says, and the database.

    Raises `StorageError` for an unreadable URL.
    """
    parts = _parts(url)
    first = (search_path(str(parts.get("options", ""))) or "").partition(",")[0].strip(' "')
    return "public" if first in ("", "$user") else first, str(parts.get("dbname", ""))


def connected(url: str, connect_timeout: int) -> Any:
    """A psycopg connection, which the caller closes; the time to connect is in seconds.

    Raises `StorageError` when it cannot be opened; the message never holds the URL.
    """
    import psycopg

    location = address(url)
    try:
        return psycopg.connect(url, connect_timeout=connect_timeout)
    except psycopg.OperationalError as problem:
        raise StorageError(
            f"The database {location} cannot be reached, so nothing was written: {problem}"
        ) from None


def _parts(url: str) -> dict[str, Any]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return conninfo_to_dict(url)
    except ProgrammingError:
        raise StorageError(
            "The storage's URL cannot be read. It should look like "
            "postgresql://user:password@host:5432/database, with special characters quoted."
        ) from None
