"""`health`: the tables of pipeline health of each window, measured together and landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from vectorshift_cli import options as o
from vectorshift_cli.documents import LANDING, QUERY, WINDOW, merged, query_of
from vectorshift_cli.places import client_of, landing_of, windows_of
from vectorshift_cli.screen import Gauge, Screen
from vectorshift_cli.shown import show_health
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.health import ErrorTable, HealthTable, Table
from vectorshift_orchestration.health_sets import require_distinct, require_whole
from vectorshift_orchestration.specs.documents import opened
from vectorshift_orchestration.specs.measurable import require_measurable

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.landing import Landed, Landing
    from vectorshift_orchestration.windows import Window

USUAL = (
    HealthTable(
        "health_by_hour",
        metrics=["runs.sum", "errors.sum", "latency.p50", "latency.p95", "latency.p99"],
        group_by=[],
        interval="hour",
    ),
    HealthTable("pipeline_health"),
    HealthTable("model_health", metrics=["tokens.sum", "model_costs.sum"], group_by=["model_id"]),
    ErrorTable("error_messages"),
)
"""What `health` keeps unless a spec names tables: all that the health page shows."""

_TOGETHER = 31
"""Windows that are measured and landed at once: a month of days."""

_KEYS = (*QUERY, *WINDOW, *LANDING, "tables", "every")


def health(
    context: typer.Context,
    spec: o.Spec = None,
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
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    as_csv: o.AsCsv = False,
    show: o.Show = None,
) -> None:
    """Measure pipeline health, day by day, and land it in tables of a database.

    Without `tables` in a spec these are all that the health page shows: by hour, by pipeline, by
    model, and the commonest error messages. Running it again replaces the same days.
    """
    screen: Screen = context.obj
    form = o.form_of(as_json, as_csv)
    document = merged("A health spec", _KEYS, spec, locals())
    tables = tables_of(document)
    windows = windows_of(document, document.get("every") or "day")
    for table in tables:
        if isinstance(table, HealthTable):
            require_whole(table, windows)
    landings = {table.name: landing_of(document, windows[0], table.table_name) for table in tables}
    require_measurable(query_of(document).query())
    if show is not None:
        screen.code(show_health(show, document, tables))
        return
    rows: dict[str, dict[str, Any]] = {}
    with client_of(document) as client, screen.progress() as gauge:
        query = query_of(document).query(client)
        for first in range(0, len(windows), _TOGETHER):
            several = windows[first : first + _TOGETHER]
            gauge("Measuring and landing windows", first, len(windows), unit="windows")
            _kept(query, several, tables, landings, rows, gauge)
        gauge("Measuring and landing windows", len(windows), len(windows), unit="windows")
    columns = ["table", "windows", "rows", "deleted", "start", "end"]
    screen.rows(list(rows.values()), columns, form)


def tables_of(document: Mapping[str, Any]) -> Sequence[Table]:
    """The tables that a spec names, as the YAML of Dagster's component does, or the usual ones."""
    stated_tables = document.get("tables")
    if stated_tables is None:
        return USUAL
    if not isinstance(stated_tables, list):
        raise SpecError(f"tables is a list of tables, not {stated_tables!r}.")
    tables = [_table(each) for each in stated_tables]
    require_distinct(tables)
    return tables


def _table(document: Any) -> Table:
    noun = "A table of health"
    if isinstance(document, Mapping) and "limit" in document:
        return ErrorTable(**opened(document, ("name", "limit", "table", "description"), noun))
    keys = ("name", "metrics", "group_by", "interval", "table", "description")
    parts = opened(document, keys, noun)
    if "name" not in parts:
        raise SpecError(f"{noun} needs a name.")
    return HealthTable(**parts)


def _kept(
    query: Query,
    windows: list[Window],
    tables: Sequence[Table],
    landings: Mapping[str, Landing],
    summary: dict[str, dict[str, Any]],
    gauge: Gauge,
) -> None:
    """Measure the windows for all tables in as few requests as are exact, and land each table."""
    from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
    from vectorshift_orchestration.errors import StaleWriterError
    from vectorshift_orchestration.health import cut, measure
    from vectorshift_orchestration.landed import query_key_of

    key = query_key_of(query.to_dict())
    attempts = {name: landing.begin_attempts(windows, key) for name, landing in landings.items()}
    measured = measure(query, windows, tables, []).tables
    for table in tables:
        landing = landings[table.name]
        try:
            landed = landing.write_rows(
                cut(measured[table.name], windows),
                time_column=BUCKET_TIME,
                query_key=key,
                attempts=attempts[table.name],
            )
        except StaleWriterError:  # somebody wrote one of them meanwhile: what lands must be newer

            def again(table: Table = table) -> dict[Window, Any]:
                return cut(measure(query, windows, [table], []).tables[table.name], windows)

            landed = landing.write_measured(windows, again, time_column=BUCKET_TIME, query_key=key)
        _tell(summary, table, list(landed.values()))


def _tell(summary: dict[str, dict[str, Any]], table: Table, landed: Sequence[Landed]) -> None:
    row = summary.setdefault(
        table.name,
        {"table": table.table_name, "windows": 0, "rows": 0, "deleted": 0}
        | {"start": landed[0].window.start},
    )
    row["windows"] += len(landed)
    row["rows"] += sum(each.rows for each in landed)
    row["deleted"] += sum(each.deleted or 0 for each in landed)
    row["end"] = landed[-1].window.end
