"""`report`: the health page of a window, made of landed tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from vectorshift_cli import options as o
from vectorshift_cli.documents import DATABASE, WINDOW, merged
from vectorshift_cli.measuring import USUAL
from vectorshift_cli.places import (
    PLACE,
    database_of,
    require_database_file,
    window_of,
)
from vectorshift_cli.screen import Screen
from vectorshift_cli.shown import show_report
from vectorshift_orchestration.errors import SpecError

_KEYS = (*WINDOW, *DATABASE, "tables", "output", "title", "late_hours")


def report(
    context: typer.Context,
    spec: o.Spec = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=f"Path or URI of the page; health-{PLACE}.html."),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(help="Landed tables, with commas; those that `health` lands unless given."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's heading.")] = None,
    late_hours: Annotated[
        float | None, typer.Option(help="After so many hours a window was late; 24.", min=0)
    ] = None,
    duckdb: o.Duckdb = None,
    postgres: o.Postgres = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    show: o.Show = None,
) -> None:
    """The health page: one HTML file about a window, made of landed tables; nothing is asked of the service."""
    from vectorshift_orchestration.report import publish_health_page

    screen: Screen = context.obj
    document = merged("A report's spec", _KEYS, spec, locals())
    named = document.get("tables") or [table.table_name for table in USUAL]
    names = [each.strip() for each in named.split(",")] if isinstance(named, str) else named
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise SpecError(f"tables is a list of the names of landed tables, not {named!r}.")
    document |= {"output": document.get("output") or f"health-{PLACE}.html"}
    connect, _ = database_of(document)
    if show is not None:
        screen.code(show_report(show, document, names))
        return
    require_database_file(document)
    window = window_of(document)
    options = {name: document[name] for name in ("title",) if name in document}
    if (hours := document.get("late_hours")) is not None:
        options["late"] = timedelta(hours=hours)
    page = publish_health_page(
        connect, names, window, document["output"].replace(PLACE, window.label), **options
    )
    screen.out.print(page.uri, highlight=False)
    screen.say(f"The health page of {window.in_words} (UTC), {page.bytes / 1e3:,.0f} kB.")
