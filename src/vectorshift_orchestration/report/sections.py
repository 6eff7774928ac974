"""The parts of the page that the figures allow, each with its chart and the figures behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vectorshift_orchestration.report import charts
from vectorshift_orchestration.report.course import course
from vectorshift_orchestration.report.figures import (
    MESSAGE,
    LandedTable,
    by_slice,
    total,
)
from vectorshift_orchestration.storage.databases import Database
from vectorshift_orchestration.windows import Window

MOST_SLICES = 10
_SUMMED = {
    "runs_sum": "Runs",
    "errors_sum": "Failed runs",
    "tokens_sum": "Tokens",
    "model_costs_sum": "Model costs, US dollars",
}
_LATENCY = re.compile(r"latency_(p\d+|mean|max)")


@dataclass(frozen=True, slots=True)
class Grid:
    """Figures under named columns; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what its charts show (a caption and an SVG for each), and the figures."""

    title: str
    grid: Grid
    charts: Sequence[tuple[str, str]] = ()
    note: str = ""
    folded: bool = False


def sections(database: Database, tables: Sequence[LandedTable], window: Window) -> list[Section]:
    """The sections that the tables have columns for, in the order of the page."""
    return [
        *_compared(database, tables, window),
        *_course(database, tables, window),
        *_latencies(database, tables, window),
        *_models(database, tables, window),
        *_pipelines(database, tables, window),
        *_messages(database, tables, window),
    ]


def _compared(
    database: Database, tables: Sequence[LandedTable], window: Window
) -> Iterator[Section]:
    (before,) = window.earlier(1)
    rows = []
    for column, label in _SUMMED.items():
        if table := _first(tables, column):
            (now,), (then,) = (total(database, table, [column], each) for each in (window, before))
            change = f"{now / then - 1:+.1%}" if now is not None and then else "-"
            rows.append((label, now, then, change))
    if rows:
        columns = ("Figure", "This window", "The one before", "Change")
        yield Section(
            "At a glance", Grid(columns, rows), note=f"The window before is {before.in_words}."
        )


def _course(database: Database, tables: Sequence[LandedTable], window: Window) -> Iterator[Section]:
    columns = ["runs_sum", "errors_sum"]
    if not (table := _first(tables, *columns)):
        return
    rows, width = course(database, table, columns, window, sum)
    if not rows:
        return
    points = [
        (at, runs, errors, errors / runs if runs and errors is not None else None)
        for at, runs, errors in rows
    ]
    times = [row[0] for row in points]
    yield Section(
        "Runs and errors",
        Grid(
            (f"Start of the {width}, UTC", "Runs", "Failed runs", "Error rate"),
            [
                (at, runs, errors, "-" if rate is None else f"{rate:.2%}")
                for at, runs, errors, rate in points
            ],
        ),
        [
            (
                f"Runs and failed runs for each {width}",
                charts.lines(
                    times,
                    {"runs": [row[1] for row in points], "failed runs": [row[2] for row in points]},
                    axis="runs",
                ),
            ),
            (
                f"Share of runs that failed, for each {width}",
                charts.lines(
                    times, {"rate": [row[3] for row in points]}, axis="error rate", share=True
                ),
            ),
        ],
        folded=True,
    )


def _latencies(
    database: Database, tables: Sequence[LandedTable], window: Window
) -> Iterator[Section]:
    for table in tables:
        columns = [name for name in table.columns if _LATENCY.fullmatch(name)]
        if table.dimensions or not columns:
            continue  # a percentile over all slices does not follow from those of each
        rows, width = course(database, table, columns, window, max)
        if rows:
            names = [name.removeprefix("latency_") for name in columns]
            series = {name: [row[place] for row in rows] for place, name in enumerate(names, 1)}
            note = "Each day shows its highest value." if width == "day" else ""
            yield Section(
                "Latency",
                Grid((f"Start of the {width}, UTC", *(f"{name}, ms" for name in names)), rows),
                [
                    (
                        f"Latency of runs for each {width}, in milliseconds",
                        charts.lines([row[0] for row in rows], series, axis="ms"),
                    )
                ],
                note=note,
                folded=True,
            )
        return


def _models(database: Database, tables: Sequence[LandedTable], window: Window) -> Iterator[Section]:
    columns = ["model_costs_sum", "tokens_sum"]
    if table := _first(tables, "model_id", *columns):
        rows = by_slice(database, table, "model_id", columns, window, most=MOST_SLICES)
        rows = [(name or "(no model)", *figures) for name, *figures in rows if any(figures)]
        if rows:
            costs = {name: cost or 0 for name, cost, _ in rows}
            yield Section(
                "Costs by model",
                Grid(("Model", "Costs, US dollars", "Tokens"), rows),
                [("Costs of each model, in US dollars", charts.bars(costs, axis="US dollars"))],
            )


def _pipelines(
    database: Database, tables: Sequence[LandedTable], window: Window
) -> Iterator[Section]:
    columns = ["errors_sum", "runs_sum"]
    if table := _first(tables, "pipeline_id", *columns):
        rows = by_slice(database, table, "pipeline_id", columns, window, most=MOST_SLICES)
        failing = [(name or "(no pipeline)", errors, runs) for name, errors, runs in rows if errors]
        if failing:
            yield Section(
                "Pipelines that fail most",
                Grid(
                    ("Pipeline", "Failed runs", "Runs", "Error rate"),
                    [(*row, f"{row[1] / row[2]:.2%}" if row[2] else "-") for row in failing],
                ),
                [
                    (
                        "Failed runs of each pipeline",
                        charts.bars(
                            {name: errors for name, errors, _ in failing}, axis="failed runs"
                        ),
                    )
                ],
            )


def _messages(
    database: Database, tables: Sequence[LandedTable], window: Window
) -> Iterator[Section]:
    if table := _first(tables, MESSAGE, "events"):
        rows = by_slice(database, table, MESSAGE, ["events"], window, most=MOST_SLICES)
        if rows:
            yield Section(
                "Error messages",
                Grid(
                    ("Message", "Failed events"),
                    [(text or "(no message)", count) for text, count in rows],
                ),
                note="Counted among the failed events that were examined.",
            )


def _first(tables: Sequence[LandedTable], *columns: str) -> LandedTable | None:
    """The table with the fewest dimensions that has the columns."""
    return next((table for table in tables if table.has(*columns)), None)
