"""The account, the windows and the landing that a document means."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.errors import SpecError, StorageError, WindowError
from vectorshift_orchestration.windows import Window, edges

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift_orchestration.landing import Landing

KEY = "VECTORSHIFT_API_KEY"
DATABASE_URL = "VECTORSHIFT_DATABASE_URL"
PLACE = "{window}"
"""What stands in a destination for the window's name, such as 2026-11-22."""


def client_of(document: Mapping[str, Any]) -> Client:
    """The account's client; its key comes from the environment, or else from whoever sits at the terminal.

    Raises `ConfigurationError` for a setting that cannot be used, and where there is neither a key nor
    anybody to ask.
    """
    from vectorshift_orchestration.accounts import Account, settings_of

    settings = settings_of(document.get("account") or {}, "The account")
    key = os.environ.get(KEY, "").strip() or _prompted()
    return Account(api_key=key, base_url=document.get("base_url"), **settings).client()


def _prompted() -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(
            f"There is no API key. Set the environment variable {KEY}; on a terminal you are asked for it."
        )
    return getpass("VectorShift API key: ", stream=sys.stderr).strip()


# --- windows ---


def window_of(document: Mapping[str, Any], now: datetime | None = None) -> Window:
    """The window: from `start` to `end`, one `day`, the last `days`, or else yesterday, in `timezone`.

    A start or an end without a time of day is midnight. Raises `WindowError` for anything else, and
    for ends beside days.
    """
    zone = edges.zone(document.get("timezone", "UTC"))
    ways = [
        names
        for names in (("start", "end"), ("day",), ("days",))
        if any(document.get(name) is not None for name in names)
    ]
    if len(ways) > 1:
        message = " and ".join("/".join(names) for names in ways)
        raise WindowError(f"{message} say two different windows. Give one of them.")
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    if document.get("day") is not None:
        return Window.day(_date(document["day"], today), zone)
    if ways and ways[0][0] == "start":
        ends = [document.get(name) for name in ("start", "end")]
        if None in ends:
            raise WindowError("A window has two ends: give start and end.")
        return Window.parse(*(_instant(each, zone) for each in ends))
    count = document.get("days", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise WindowError(f"days is a whole number of days before today, 1 or more, not {count!r}.")
    first = today - timedelta(days=count)
    return Window(edges.day_start(first, zone), edges.day_start(today, zone))


def windows_of(document: Mapping[str, Any], every: str | None) -> list[Window]:
    """The windows of a document: one, or cut into hours, days, weeks, months or years of its zone."""
    whole = window_of(document)
    if every is None:
        return [whole]
    return whole.split(every, document.get("timezone", "UTC"))


def _date(value: Any, today: date) -> date:
    words = {"today": today, "yesterday": today - timedelta(days=1)}
    if isinstance(value, date) and not isinstance(value, datetime):
        return value  # as YAML reads it
    try:
        return words.get(str(value)) or date.fromisoformat(str(value))
    except ValueError:
        raise WindowError(
            f"day is a date such as 2026-11-22, today or yesterday, not {value!r}."
        ) from None


def _instant(value: Any, zone: Any) -> datetime | str:
    if isinstance(value, datetime):
        return value
    try:
        return edges.day_start(date.fromisoformat(str(value)), zone)
    except ValueError:
        return str(value)


# --- where rows land ---


def landing_of(document: Mapping[str, Any], window: Window, table: str | None = None) -> Landing:
    """Where the rows of a window land. Raises `SpecError` when that is nowhere, or not clear."""
    from vectorshift_orchestration.landing import Landing

    name = table or document.get("table")
    destination = document.get("destination")
    connect, reconnect = (None, None) if name is None else database_of(document)
    if name is None and any(document.get(each) is not None for each in ("duckdb", "postgres")):
        raise SpecError("A database needs the name of a table. Give --table, too.")
    landing = Landing(
        destination=None if destination is None else str(destination).replace(PLACE, window.label),
        table=name,
        connect=connect,
        reconnect=reconnect,
        parquet=bool(document.get("parquet", False)),
        source=document.get("source"),
        replace_other=bool(document.get("replace_other", False)),
        replace_characters=bool(document.get("replace_characters", False)),
    )
    if destination is None and name is None:
        raise SpecError(
            "The rows have nowhere to land. Give --destination for a file, or --table with --duckdb or "
            "--postgres, or both."
        )
    try:
        landing.check()
    except StorageError as problem:
        raise SpecError(str(problem)) from None
    return landing


def database_of(
    document: Mapping[str, Any],
) -> tuple[Callable[[], AbstractContextManager[Any]], Callable[[], Any] | None]:
    """How the database is opened, and opened once more to ask for the outcome of a lost COMMIT.

    Raises `SpecError` unless exactly one is named, and for a URL that is written down.
    """
    duckdb, variable = document.get("duckdb"), document.get("postgres")
    if (duckdb is None) == (variable is None):
        raise SpecError(
            "Name one database: --duckdb with the path of a file, or --postgres with the name of the "
            f"environment variable that holds its URL, such as {DATABASE_URL}."
        )
    if duckdb is not None:
        from vectorshift_orchestration.storage.duckdb_file import duckdb_file

        return partial(duckdb_file, duckdb), None
    from vectorshift_orchestration.storage.postgres_url import connected

    if not str(variable).isidentifier():
        raise SpecError(
            "A database's URL holds a password, so it is not an argument: put it into an environment "
            f"variable, and give --postgres the variable's name, such as {DATABASE_URL}."
        )

    def reconnect() -> Any:
        return connected(_url(str(variable)), 10)

    return lambda: closing(reconnect()), reconnect


def _url(variable: str) -> str:
    result = os.environ.get(variable)
    if not result:
        raise SpecError(
            f"The environment variable {variable} is not set. Put the database's URL there: "
            "postgresql://, user, password, host and database."
        )
    return result


def require_database_file(document: Mapping[str, Any]) -> None:
    """Raise `SpecError` for a DuckDB file that does not exist, where nothing is written."""
    if (path := document.get("duckdb")) is not None and not Path(path).expanduser().is_file():
        raise SpecError(
            f"DuckDB file {path} does not exist. Land figures in it first: "
            f"vectorshift-orchestration health --duckdb {path}."
        )
