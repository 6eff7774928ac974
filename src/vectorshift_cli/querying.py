"""`query`: how many events, which ones, or figures of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vectorshift_cli import options as o
from vectorshift_cli.documents import QUERY, WINDOW, merged, query_of
from vectorshift_cli.places import client_of, window_of
from vectorshift_cli.screen import Gauge, Screen
from vectorshift_cli.shown import show_figures
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.windows import Window

_FIGURES = ("metrics", "group_by", "interval")

app = typer.Typer(no_args_is_help=True, help="How many events, which ones, or figures of them.")


@app.command("count")
def count_events(
    context: typer.Context,
    spec: o.Spec = None,
    object_id: o.ObjectId = None,
    object_type: o.ObjectType = None,
    kinds: o.Kinds = None,
    where: o.Where = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    as_csv: o.AsCsv = False,
) -> None:
    """How many events of a window there are."""
    from vectorshift_orchestration.extract.bounds import for_rows

    screen, form = _screen(context), o.form_of(as_json, as_csv)
    document = _merged(spec, (), locals())
    window, chosen = window_of(document), query_of(document)
    with client_of(document) as client:
        result = for_rows(chosen.query(client), window).count()
    screen.value({"count": result["count"], **window.to_dict()}, form)


@app.command("events")
def list_events(
    context: typer.Context,
    spec: o.Spec = None,
    object_id: o.ObjectId = None,
    object_type: o.ObjectType = None,
    kinds: o.Kinds = None,
    where: o.Where = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    limit: Annotated[int | None, typer.Option(help="The most; 20 unless given.", min=1)] = None,
    every_event: Annotated[bool, typer.Option("--all", help="Every event of the window.")] = False,
    columns: Annotated[
        str | None, typer.Option(help="Which columns, with commas between them.")
    ] = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    as_csv: o.AsCsv = False,
) -> None:
    """Events of a window: the first ones, or with --all every one of them, counted and complete."""
    from vectorshift_orchestration.specs.documents import nearest
    from vectorshift_orchestration.tables import EVENT_SCHEMA

    screen, form = _screen(context), o.form_of(as_json, as_csv)
    if every_event and limit is not None:
        raise SpecError("--all and --limit exclude each other: give one of them.")
    document = _merged(spec, ("columns",), locals())
    chosen = document.get("columns") or (_COLUMNS if form == "table" else EVENT_SCHEMA.names)
    names = [each.strip() for each in chosen.split(",")] if isinstance(chosen, str) else chosen
    for name in names:
        if name not in EVENT_SCHEMA.names:
            raise SpecError(f"Column {name!r} does not exist. {nearest(name, EVENT_SCHEMA.names)}")
    window, events = window_of(document), query_of(document)
    most, title = limit or 20, f"Events of {window.in_words} (UTC)"
    streams = form != "table"
    with (
        client_of(document) as client,
        screen.progress(hidden=streams and screen.out.is_terminal) as gauge,
    ):
        query = events.query(client)
        rows = _every(query, window, gauge) if every_event else _first(query, window, most)
        shown = ({name: row[name] for name in names} for row in rows)
        if streams:
            screen.rows(shown, names, form)
        result = [] if streams else list(shown)
    if not streams:
        screen.rows(result, names, form, title=title)
    if len(result) == most and not every_event:
        screen.say(f"The first {most}; there may be more: --limit, or --all.")


@app.command("aggregate")
def measure_figures(
    context: typer.Context,
    spec: o.Spec = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="What to measure, with commas: runs.sum,error_rate,latency.p95."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option("--by", help="Dimensions, with commas: pipeline_id,model_id.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help="Buckets of time: hour, day, week, month, year (UTC).")
    ] = None,
    object_id: o.ObjectId = None,
    object_type: o.ObjectType = None,
    kinds: o.Kinds = None,
    where: o.Where = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    as_csv: o.AsCsv = False,
    show: o.Show = None,
) -> None:
    """Figures of a window: sums, means, percentiles and rates, by time and by dimension."""
    from vectorshift_orchestration.extract import aggregate
    from vectorshift_orchestration.specs.measurable import require_measurable

    screen, form = _screen(context), o.form_of(as_json, as_csv)
    document = _merged(spec, _FIGURES, locals())
    figures = _figures_of(document)
    require_measurable(query_of(document).query())
    if show is not None:
        screen.code(show_figures(show, document, figures))
        return
    window = window_of(document)
    with client_of(document) as client:
        rows = aggregate(query_of(document).query(client), window, figures)
    names = [name for name in rows.column_names if figures.sliced_by_time or name != "bucket_start"]
    if form != "table":
        names = rows.column_names
    screen.rows(rows.to_pylist(), names, form, title=f"Figures of {window.in_words} (UTC)")


_COLUMNS = (
    *("span_start_time", "span_kind", "object_id", "status", "latency", "model_id"),
    "error_message",
)


def _screen(context: typer.Context) -> Screen:
    screen: Screen = context.obj
    return screen


def _merged(spec: Any, more: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    return merged("A query's spec", (*QUERY, *WINDOW, *more), spec, values)


def _figures_of(document: dict[str, Any]) -> AggregationSpec:
    parts = {name: document[name] for name in _FIGURES if name in document}
    for name in ("metrics", "group_by"):
        if isinstance(parts.get(name), str):
            parts[name] = [each.strip() for each in parts[name].split(",")]
    if parts.get("interval") is not None:
        parts["group_by"] = list(dict.fromkeys(["time", *parts.get("group_by", [])]))
    return AggregationSpec.from_dict(parts)


def _every(query: Query, window: Window, gauge: Gauge) -> Iterator[dict[str, Any]]:
    from vectorshift_orchestration.extract import events
    from vectorshift_orchestration.extract.bounds import for_rows

    total = for_rows(query, window).count()["count"]
    read = events(query, window, progress=lambda rows, _: gauge("Reading events", rows, total))
    for batch in read:
        yield from batch.to_pylist()


def _first(query: Query, window: Window, most: int) -> Iterator[dict[str, Any]]:
    from vectorshift_orchestration.extract import events
    from vectorshift_orchestration.extract.bounds import for_rows
    from vectorshift_orchestration.specs.measurable import has_alternatives
    from vectorshift_orchestration.tables import event_batch

    if has_alternatives(query):  # a page of an OR takes no bounds beside it
        read = (row for batch in events(query, window) for row in batch.to_pylist())
        return islice(read, most)
    page = for_rows(query, window).iter_events(min(most, 500))
    result = list(islice(page, most))
    return iter(event_batch(result).to_pylist())
