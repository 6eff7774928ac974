"""`export`: every event of a window, complete and checked, as a file, as rows of a table, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorshift_cli import options as o
from vectorshift_cli.documents import LANDING, QUERY, WINDOW, merged, query_of
from vectorshift_cli.places import PLACE, client_of, landing_of, windows_of
from vectorshift_cli.records import FileRecord
from vectorshift_cli.screen import Gauge, Screen
from vectorshift_cli.shown import show_export
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.exports.request import ExportOptions, ExportRequest

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift_orchestration.exports.job import ExportLanded
    from vectorshift_orchestration.windows import Window

_OPTIONS = ("format", "timeout", "poll_interval", "late_arrival_minutes", "chunks")
_KEYS = (*QUERY, *WINDOW, *LANDING, *_OPTIONS, "destination", "parquet", "table", "every")


def export(
    context: typer.Context,
    spec: o.Spec = None,
    destination: Annotated[
        str | None,
        typer.Option(
            help=f"Path or URI of the file; {PLACE} in it is the window.", rich_help_panel="Landing"
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="CSV, JSON or XLSX, as the service writes.", rich_help_panel="Landing"),
    ] = None,
    parquet: Annotated[
        bool | None,
        typer.Option("--parquet", help="The file as Parquet.", rich_help_panel="Landing"),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="The table, name or schema.name.", rich_help_panel="Landing")
    ] = None,
    duckdb: o.Duckdb = None,
    postgres: o.Postgres = None,
    source: o.Source = None,
    replace_other: o.ReplaceOther = None,
    replace_characters: o.ReplaceCharacters = None,
    object_id: o.ObjectId = None,
    object_type: o.ObjectType = None,
    kinds: o.Kinds = None,
    where: o.Where = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    every: o.Every = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds until the file is ready; 3600.")
    ] = None,
    chunks: Annotated[
        int | None, typer.Option(help="Export a window in so many parts, all at once; 1.")
    ] = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    as_csv: o.AsCsv = False,
    show: o.Show = None,
) -> None:
    """Every event of a window, complete and checked: a file, rows of a table, or both.

    Running it again replaces that window, and never adds. After an interruption, it goes on with the
    export that the service has already made.
    """
    screen: Screen = context.obj
    form = o.form_of(as_json, as_csv)
    document = merged("An export's spec", _KEYS, spec, locals())
    options = _options_of(document)
    windows = windows_of(document, document.get("every"))
    query_of(document)
    for window in windows:
        landing_of(document, window)
    if len(windows) > 1 and document.get("destination") and PLACE not in document["destination"]:
        raise SpecError(
            f"A file holds one window, and these are {len(windows)}: write {PLACE} into --destination."
        )
    if show is not None:
        screen.code(show_export(show, document))
        return
    landed = []
    with client_of(document) as client:
        for window in windows:
            landed.append(_exported(client, document, window, options, screen))
    rows = [_row(each) for each in landed]
    columns = _SHOWN if form == "table" else list(rows[0])
    screen.rows(rows, columns, form)


_SHOWN = ("start", "end", "rows", "deleted", "table", "uri", "bytes", "verified", "replaced")


def _options_of(document: Mapping[str, Any]) -> ExportOptions:
    names = {each.name for each in fields(ExportOptions)}
    values = {name: document[name] for name in names if name in document}
    if (minutes := document.get("late_arrival_minutes")) is not None:
        values["late_arrival"] = timedelta(minutes=minutes)
    return ExportOptions(**values)


def _exported(
    client: Client,
    document: Mapping[str, Any],
    window: Window,
    options: ExportOptions,
    screen: Screen,
) -> ExportLanded:
    from vectorshift_orchestration.exports.job import ExportJob
    from vectorshift_orchestration.specs.scopes import scoped

    query = scoped(client, query_of(document).query()).to_dict()
    request = ExportRequest(query, window, options.format.upper())
    landing = landing_of(document, window)
    record = FileRecord(request.key, document)
    with (
        TemporaryDirectory(prefix="vectorshift-") as folder,
        screen.progress() as gauge,
    ):
        job = ExportJob(
            client,
            request,
            landing,
            record,
            directory=Path(folder),
            options=options,
            progress=_Phases(gauge, record, f"{window.in_words} (UTC)", parquet=landing.parquet),
        )
        landed = job.finish()
    record.discard()
    return landed


class _Phases:
    """What the job counts, as the phases that people wait for."""

    def __init__(self, gauge: Gauge, record: FileRecord, window: str, *, parquet: bool) -> None:
        self._gauge = gauge
        self._parquet = parquet
        self._record = record
        self._window = window

    def __call__(self, what: str, done: int) -> None:
        state = self._record.last
        rows = None if state is None else state.rows or state.counted_before
        match what:
            case "looks":
                self._gauge(f"{self._window}: the service writes the file, polls", done, unit=None)
            case "bytes":
                self._gauge(f"{self._window}: downloading", done, unit="bytes")
            case "checked":
                self._gauge(f"{self._window}: checking rows", done, rows)
            case "loaded":
                self._gauge(f"{self._window}: loading rows", done, rows)
            case _ if self._parquet:
                self._gauge(f"{self._window}: publishing rows", done, rows)
            case _:
                size = None if state is None else state.bytes
                self._gauge(f"{self._window}: publishing", done, size, unit="bytes")


def _row(landed: ExportLanded) -> dict[str, Any]:
    row = landed.to_json()
    window = row.pop("window")
    return {**window, **{name: value for name, value in row.items() if value is not None}}
