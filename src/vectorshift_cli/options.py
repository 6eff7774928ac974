"""Options that several commands share, by type; each is None, or empty, unless it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from vectorshift_cli.screen import Form
from vectorshift_orchestration.errors import SpecError

_EVENTS, _TIME, _ACCOUNT, _LANDING, _OUTPUT = "Events", "Window", "Account", "Landing", "Output"

Spec: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="YAML with the same names as these options; they come before it."),
]

ObjectId: TypeAlias = Annotated[
    str | None, typer.Option(help="One object, by its id.", rich_help_panel=_EVENTS)
]
ObjectType: TypeAlias = Annotated[
    str | None,
    typer.Option(help="All objects of a type, such as pipeline.", rich_help_panel=_EVENTS),
]
Kinds: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--kind", help="A kind of events, such as pipeline.run.", rich_help_panel=_EVENTS),
]
Where: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="A condition: status=failure, latency>=1000, error_message~quota.",
        rich_help_panel=_EVENTS,
    ),
]

Start: TypeAlias = Annotated[
    str | None,
    typer.Option(help="A date, or a time with Z or an offset; with --end.", rich_help_panel=_TIME),
]
End: TypeAlias = Annotated[
    str | None, typer.Option(help="Where it ends, itself left out.", rich_help_panel=_TIME)
]
Day: TypeAlias = Annotated[
    str | None,
    typer.Option(help="A date, today, or yesterday (the default).", rich_help_panel=_TIME),
]
Days: TypeAlias = Annotated[
    int | None, typer.Option(help="So many days before today.", rich_help_panel=_TIME)
]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Whose days, such as Europe/Berlin; UTC.", rich_help_panel=_TIME),
]
Every: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Cut it into windows: hour, day, week, month.", rich_help_panel=_TIME),
]

BaseUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="The API's address; VECTORSHIFT_BASE_URL, or the hosted service.",
        rich_help_panel=_ACCOUNT,
    ),
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        help="A setting: timeout=30, retries=2, verify=/ca.pem, rate_limit=5, time_precision=us.",
        rich_help_panel=_ACCOUNT,
    ),
]

Duckdb: TypeAlias = Annotated[
    str | None, typer.Option(help="The DuckDB file with the table.", rich_help_panel=_LANDING)
]
Postgres: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="VARIABLE",
        help="The environment variable with PostgreSQL's URL.",
        rich_help_panel=_LANDING,
    ),
]
Source: TypeAlias = Annotated[
    str | None,
    typer.Option(help="A name of these rows in a shared table.", rich_help_panel=_LANDING),
]
ReplaceOther: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--replace-other", help="Replace another query's rows, too.", rich_help_panel=_LANDING
    ),
]
ReplaceCharacters: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--replace-characters",
        help="Write U+FFFD for what no text holds, and count it.",
        rich_help_panel=_LANDING,
    ),
]

AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="JSON on stdout.", rich_help_panel=_OUTPUT)
]
AsCsv: TypeAlias = Annotated[
    bool, typer.Option("--csv", help="CSV on stdout.", rich_help_panel=_OUTPUT)
]
Show: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="airflow|dagster",
        help="Print the operator or asset that does the same, and do nothing.",
        rich_help_panel=_OUTPUT,
    ),
]


def form_of(as_json: bool, as_csv: bool) -> Form:
    """How a result is written. Raises `SpecError` for two ways at once."""
    if as_json and as_csv:
        raise SpecError("--json and --csv exclude each other: give one of them.")
    return "json" if as_json else "csv" if as_csv else "table"
