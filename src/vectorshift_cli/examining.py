"""`doctor`: whether everything between this machine and the rows is as it should be, and what to do where not."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from vectorshift.errors import VectorshiftError
from vectorshift_cli import options as o
from vectorshift_cli.documents import DATABASE, QUERY, WINDOW, merged
from vectorshift_cli.places import client_of, database_of
from vectorshift_cli.screen import Screen
from vectorshift_orchestration.windows import edges

if TYPE_CHECKING:
    from vectorshift import Client

_ILL = 1
_MOST_SKEW = 5.0
"""Seconds that two clocks may differ: windows end by the one, events begin by the other."""

_PARTS = ("apache-airflow", "dagster", "duckdb", "pyarrow", "psycopg", "vl-convert-python")
_STALE_ZONES = 2
"""Years after which a time zone database is old."""

_KEYS = (*QUERY, *WINDOW, *DATABASE, "destination")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, what was seen, and what to do."""

    topic: str
    state: Literal["ok", "warn", "fail", "-"]
    seen: str
    advice: str = ""


def doctor(
    context: typer.Context,
    spec: o.Spec = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    duckdb: o.Duckdb = None,
    postgres: o.Postgres = None,
    destination: Annotated[
        str | None,
        typer.Option(
            help="A file's path or URI, whose place is looked at.", rich_help_panel="Landing"
        ),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Look at versions, the account, the way to it, both clocks, and where rows land; each line says what to do.

    It only reads, but that a DuckDB file is opened for writing. Exit code 1 when something fails.
    """
    screen: Screen = context.obj
    document = merged("A spec", _KEYS, spec, locals())
    with screen.progress(hidden=screen.is_picture) as gauge:
        findings = []
        for each in _findings(document):
            findings.append(each)
            gauge(f"Looking at {each.topic}", len(findings), unit=None)
    if as_json:
        screen.rows(
            [_plain(each) for each in findings], ["topic", "state", "seen", "advice"], "json"
        )
    else:
        _tell(screen, findings)
    if any(each.state == "fail" for each in findings):
        raise typer.Exit(_ILL)


def _findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _versions()
    yield _zones()
    try:
        client = client_of(document)
    except VectorshiftError as problem:
        yield Finding("account", "fail", str(problem))
    else:
        with client:
            yield from _service(client)
    yield from _places(document)


# --- this machine ---


def _versions() -> Iterator[Finding]:
    here = f"{version('vectorshift-orchestration')}, Python {platform.python_version()}"
    result = [f"{name} {message}" for name in _PARTS if (message := _version(name)) is not None]
    yield Finding("versions", "ok", ", ".join([here, *result]))
    if (official := _version("vectorshift")) is not None:
        yield Finding(
            "packages",
            "fail",
            f"the official vectorshift {official} is installed beside this package",
            "Both own the import package vectorshift: keep them in separate environments.",
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _zones() -> Finding:
    database = edges.database()
    year = database[:4]
    if not year.isdigit():
        return Finding(
            "time zones",
            "warn",
            f"the database is {database}",
            "Days of a zone may be cut by old rules: install tzdata (pip or the system's).",
        )
    if int(year) < datetime.now(UTC).year - _STALE_ZONES:
        return Finding(
            "time zones",
            "warn",
            f"the database is {database}, which is old",
            "Clocks change by decree: update tzdata (pip or the system's).",
        )
    return Finding("time zones", "ok", f"database {database}")


# --- the service ---


def _service(client: Client) -> Iterator[Finding]:
    from vectorshift.diagnostics import address, clock_lead, proxy

    try:
        yield Finding("address", "ok", address(client))
        through = proxy(client)
        yield Finding(
            "proxy",
            "ok",
            "none" if through is None else f"calls and files go through {through}",
            "" if through is None else "NO_PROXY names hosts that are reached without it.",
        )
        began = time.monotonic()
        lead = clock_lead(client)
        took = time.monotonic() - began
        yield Finding("connection", "ok", f"answered in {took * 1000:,.0f} ms, and takes the key")
    except VectorshiftError as problem:
        yield Finding(
            "connection", "fail", f"{type(problem).__name__}: {problem}", _what_to_do(problem)
        )
        return
    yield _clock(lead)
    yield _precision(client)


def _what_to_do(problem: VectorshiftError) -> str:
    from vectorshift.errors import ApiConnectionError, AuthenticationError, PermissionDeniedError

    if isinstance(problem, AuthenticationError | PermissionDeniedError):
        return "Set VECTORSHIFT_API_KEY to a key of this account that may read analytics."
    if isinstance(problem, ApiConnectionError):
        return "Look at the address, the network, and HTTPS_PROXY or NO_PROXY."
    return "Look at the address (VECTORSHIFT_BASE_URL, with its /v1), or try again later."


def _clock(lead: float | None) -> Finding:
    if lead is None:
        return Finding("clock", "-", "the service does not tell its time")
    message = f"{abs(lead):,.0f} s {'ahead of' if lead > 0 else 'behind'} the service"
    if abs(lead) > _MOST_SKEW:
        return Finding(
            "clock",
            "fail",
            message,
            "Set this machine's clock (NTP): windows that end by it would be judged too early or late.",
        )
    return Finding("clock", "ok", "as the service's, to a few seconds")


def _precision(client: Client) -> Finding:
    names = {"us": "microsecond", "ms": "millisecond", "s": "second"}
    try:
        result = client.query().time_precision()
    except VectorshiftError as problem:
        return Finding("time precision", "fail", str(problem), "Bounds of windows need it.")
    if result is None:
        return Finding("time precision", "-", "the account has no event that would show it")
    return Finding(
        "time precision",
        "ok",
        f"the service compares times to the {names[result]}",
        f"time_precision={result} in the connection or resource saves finding it out.",
    )


# --- where rows land ---


def _places(document: Mapping[str, Any]) -> Iterator[Finding]:
    if document.get("duckdb") is not None or document.get("postgres") is not None:
        yield _database(document)
    if document.get("destination") is not None:
        yield _folder(str(document["destination"]))
    elif document.get("duckdb") is None and document.get("postgres") is None:
        yield Finding(
            "storage",
            "-",
            "none named",
            "Give --duckdb, --postgres or --destination to have it looked at.",
        )


def _database(document: Mapping[str, Any]) -> Finding:
    topic = "DuckDB" if document.get("duckdb") is not None else "PostgreSQL"
    path = document.get("duckdb")
    if path is not None and not Path(str(path)).expanduser().exists():
        folder = Path(str(path)).expanduser().absolute().parent
        return _writable(topic, folder, f"{path} is made when rows land")
    try:
        connect, _ = database_of(document)
        with connect() as connection:
            (message,) = connection.execute("SELECT version()").fetchone()
    except Exception as problem:  # noqa: BLE001  # whatever a driver raises is what is found
        from vectorshift_orchestration.addresses import without_secrets

        return Finding(topic, "fail", without_secrets(str(problem)), "Mend that, then look again.")
    return Finding(topic, "ok", f"opened; {' '.join(str(message).split()[:2])}")


def _folder(destination: str) -> Finding:
    from vectorshift_orchestration.storage.destinations import resolved

    try:
        target = resolved(destination)
        if isinstance(target, Path):
            return _writable("destination", target.parent, "")
        parent = target.path.rpartition("/")[0]
        target.fs.ls(parent.partition("/")[0] or parent)
    except Exception as problem:  # noqa: BLE001  # whatever a store raises is what is found
        from vectorshift_orchestration.addresses import without_secrets

        message = f"{type(problem).__name__}: {without_secrets(str(problem))}"
        return Finding(
            "destination", "fail", message, "Look at the bucket's name and its credentials."
        )
    return Finding("destination", "ok", f"{target.uri} can be reached")


def _writable(topic: str, folder: Path, more: str) -> Finding:
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return Finding(topic, "fail", f"{folder} cannot be written", "Give this user the right to.")
    return Finding(topic, "ok", more or f"{folder} can be written")


# --- telling ---


def _tell(screen: Screen, findings: list[Finding]) -> None:
    signs = {"ok": ("ok", "green"), "warn": ("warn", "bold yellow"), "fail": ("FAIL", "bold red")}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for each in findings:
        word, colour = signs.get(each.state, ("-", "dim"))
        message = Text(each.seen)
        if each.advice:
            message.append(f"\n{each.advice}", style="dim" if each.state == "ok" else "")
        table.add_row(Text(word, style=colour), each.topic, message)
    screen.out.print(table)


def _plain(finding: Finding) -> dict[str, str]:
    return {name: getattr(finding, name) for name in ("topic", "state", "seen", "advice")}
