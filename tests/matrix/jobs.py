"""The main jobs of users, and what is true of each: a figure that the data themselves give."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from tests.matrix.service import DAYS, EMPTY, MONTH, NOON, WHOLE, inside
from vectorshift import Client
from vectorshift_orchestration.exports import ExportJob, ExportRequest
from vectorshift_orchestration.extract import aggregate, events
from vectorshift_orchestration.extract.shared_requests import aggregate_many
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.rules import Absolute, Rate
from vectorshift_orchestration.windows import Window

Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """One service: an account at it, the events that it has, its switches, and a folder."""

    client: Client
    rows: list[Row]
    switches: dict[str, Any]
    folder: Path

    def within(self, window: Window) -> list[Row]:
        return [row for row in self.rows if inside(row, window)]


@dataclass(frozen=True)
class Job:
    """Something to do, what is true, and when two answers are the same."""

    name: str
    run: Callable[[World], Any]
    truth: Callable[[World], Any]
    same: Callable[[Any, Any, World], bool] = lambda found, true, _: close(found, true)


def close(found: Any, true: Any) -> bool:
    """Equal, and doubles within what their order of adding costs."""
    if isinstance(true, dict):
        return (
            isinstance(found, dict)
            and found.keys() == true.keys()
            and all(close(found[key], true[key]) for key in true)
        )
    if isinstance(true, list):
        pairs = zip(found, true, strict=False)
        return len(found) == len(true) and all(close(one, other) for one, other in pairs)
    if isinstance(true, float) and found is not None:
        return math.isclose(float(found), true, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == true)


# --- what is true ---


def figures(rows: Iterable[Row]) -> dict[str, Any]:
    """Every measured column of some runs."""
    every = list(rows)
    latencies = sorted(row["latency"] for row in every)
    failed = sum(row["status"] == "failure" for row in every)
    return {
        "runs_sum": len(every),
        "errors_sum": failed,
        "tokens_sum": sum(row["tokens"] for row in every),
        "tokens_max": max((row["tokens"] for row in every), default=None),
        "model_costs_sum": math.fsum(row["model_costs"] for row in every),
        "latency_mean": math.fsum(latencies) / len(latencies) if latencies else None,
        "latency_min": latencies[0] if latencies else None,
        "latency_p95": percentile(latencies) if latencies else None,
        "users_count_distinct": len({row["user_id"] for row in every}),
        "error_rate": failed / len(every) if every else None,
    }


def percentile(values: list[float]) -> float:
    place = 0.95 * (len(values) - 1)
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def element(values: list[float]) -> float:
    return values[min(int(0.95 * len(values)), len(values) - 1)]


METRICS = {
    "sums": ["runs.sum", "errors.sum", "tokens.sum", "model_costs.sum"],
    "means": ["latency.mean", "latency.min", "tokens.max"],
    "p95": ["latency.p95"],
    "distinct": ["users.count_distinct"],
    "rate": ["error_rate"],
}


def measured(rows: list[Row], metrics: list[str], world: World) -> dict[str, Any]:
    """The columns of some metrics; a percentile is what the service's own kind would be."""
    reported = figures(rows)
    latencies = sorted(row["latency"] for row in rows)
    if latencies and world.switches["percentile"] == "element":
        reported["latency_p95"] = element(latencies)
    return {metric.replace(".", "_"): reported[metric.replace(".", "_")] for metric in metrics}


SLICES: dict[str, Callable[[Row], Any]] = {
    "model_id": lambda row: row["model_id"],
    "search_type": lambda row: row["search_type"],
}


def start_of(row: Row, width: str) -> datetime:
    """The UTC bucket of an event."""
    start = datetime.fromisoformat(row["start_time"][:19]).replace(tzinfo=UTC)
    if width == "hour":
        return start.replace(minute=0, second=0)
    day = start.replace(hour=0, minute=0, second=0)
    return day - timedelta(days=day.weekday()) if width == "week" else day


def table_truth(
    metrics: list[str], group_by: list[str], interval: str | None, window: Window
) -> Callable[[World], Any]:
    def truth(world: World) -> Any:
        groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in world.within(window):
            key = tuple(
                start_of(row, interval or "") if name == "time" else SLICES[name](row)
                for name in group_by
            )
            groups[key].append(row)
        if not group_by:
            groups = defaultdict(list, {(): world.within(window)})
        return {key: measured(rows, metrics, world) for key, rows in groups.items()}

    return truth


# --- aggregates ---


def keyed(table: Any, group_by: list[str], metrics: list[str]) -> dict[tuple[Any, ...], Any]:
    names = ["bucket_start" if name == "time" else name for name in group_by]
    columns = [metric.replace(".", "_") for metric in metrics]
    return {
        tuple(row[name] for name in names): {column: row[column] for column in columns}
        for row in table.to_pylist()
    }


def aggregate_job(
    kind: str, group_by: list[str], interval: str | None = None, window: Window = WHOLE
) -> Job:
    metrics = METRICS[kind]

    def run(world: World) -> Any:
        spec = AggregationSpec(metrics, group_by, interval)
        return keyed(aggregate(world.client.query(), window, spec), group_by, metrics)

    name = f"{kind} by {'+'.join(group_by) or 'nothing'}{f' per {interval}' if interval else ''}"
    return Job(name, run, table_truth(metrics, group_by, interval, window))


def sdk_job(op: str, field: str) -> Job:
    """A figure by the SDK alone, of a month whose edges no event is near."""

    def run(world: World) -> Any:
        query = MONTH.bound(world.client.query())
        return query.percentile(field, 95) if op == "p95" else getattr(query, op)(field)

    column = f"{field}_{op}"

    def truth(world: World) -> Any:
        return measured(world.rows, [column], world)[column]

    return Job(f"{op} of {field}", run, truth)


def shared(world: World) -> Any:
    specs = [
        AggregationSpec(METRICS["sums"], ["time"], "day"),
        AggregationSpec(METRICS["sums"], ["time", "model_id"], "day"),
        AggregationSpec(METRICS["p95"], ["time"], "hour"),
    ]
    tables = aggregate_many(world.client.query(), WHOLE, specs).tables
    return [
        keyed(table, spec.group_by, list(spec.metrics))
        for table, spec in zip(tables, specs, strict=True)
    ]


def shared_truth(world: World) -> Any:
    return [
        table_truth(METRICS["sums"], ["time"], "day", WHOLE)(world),
        table_truth(METRICS["sums"], ["time", "model_id"], "day", WHOLE)(world),
        table_truth(METRICS["p95"], ["time"], "hour", WHOLE)(world),
    ]


# --- rows ---


def row_of(row: Row, world: World) -> dict[str, Any]:
    """An event as a table has it, without its time, which the clock may cut."""
    attributes = dict(row["span_attributes"])
    return {
        "status": row["status"],
        "error_message": row["error_message"],
        "model_id": row["model_id"],
        "latency": row["latency"],
        "span_attributes": {**attributes, "n": 1},
    }


NAMES = ("status", "error_message", "model_id", "latency", "span_attributes")


def rows_truth(world: World) -> Any:
    return {row["span_id"]: row_of(row, world) for row in world.within(WHOLE)}


def found_rows(rows: Iterable[Row]) -> Any:
    reported = [(row["span_id"], {name: row[name] for name in NAMES}) for row in rows]
    assert len(dict(reported)) == len(reported), "an event came twice"
    for _, row in reported:
        row["span_attributes"] = json.loads(row["span_attributes"])
    return dict(reported)


def extracted(world: World) -> Any:
    batches = events(world.client.query(), WHOLE, page_size=40)
    return found_rows(row for batch in batches for row in batch.to_pylist())


def walked(world: World) -> Any:
    query = WHOLE.bound(world.client.query())
    return sorted(event["span_id"] for event in query.iter_events(page_size=40))


def table_rows(world: World) -> Any:
    query = WHOLE.bound(world.client.query())
    rows = list(query.iter_rows(["event_id", "model_id", "status"], page_size=40))
    return sorted([list(row["values"].values()) for row in rows])


class Record:
    """A record that lives as long as the job."""

    def __init__(self) -> None:
        self.state: Any = None

    def read(self) -> Any:
        return self.state

    def write(self, state: Any) -> None:
        self.state = state

    def discard(self) -> None:
        self.state = None


def exported(world: World, format: str, window: Window) -> list[Row]:
    with duckdb.connect() as connection:
        landing = Landing(table="events", connect=lambda: nullcontext(connection))
        request = ExportRequest(world.client.query().to_dict(), window, format)
        job = ExportJob(world.client, request, landing, Record(), directory=world.folder)
        landed = job.finish()
        rows = connection.sql("SELECT * FROM events").to_arrow_table().to_pylist()
        assert landed.rows == len(rows)
        return rows


def export_job(format: str) -> Job:
    return Job(
        f"export as {format}", lambda world: found_rows(exported(world, format, WHOLE)), rows_truth
    )


def empty_job(format: str) -> Job:
    return Job(
        f"export of nothing as {format}", lambda world: exported(world, format, EMPTY), lambda _: []
    )


# --- alerts ---


def alerted(world: World) -> Any:
    verdicts = Judging(Absolute(metric="errors.sum", error=1000), DAYS).ask(world.client.query())
    return [verdict.observed for verdict in verdicts]


def rated(world: World) -> Any:
    verdicts = Judging(Rate(error=0.9, minimum_sample=1), DAYS).ask(world.client.query())
    return [verdict.observed for verdict in verdicts]


def single(world: World) -> Any:
    (verdict,) = Judging(Absolute(metric="errors.sum", error=1), [NOON]).ask(world.client.query())
    return verdict.observed


def of_days(column: str) -> Callable[[World], Any]:
    return lambda world: [float(figures(world.within(day))[column]) for day in DAYS]


JOBS = [
    Job(
        "count",
        lambda world: WHOLE.bound(world.client.query()).count()["count"],
        lambda world: len(world.within(WHOLE)),
    ),
    Job(
        "count of an hour",
        lambda world: NOON.bound(world.client.query()).count()["count"],
        lambda world: len(world.within(NOON)),
    ),
    Job(
        "count of nothing",
        lambda world: EMPTY.bound(world.client.query()).count()["count"],
        lambda _: 0,
    ),
    Job("pages", walked, lambda world: sorted(row["span_id"] for row in world.within(WHOLE))),
    Job("extract", extracted, rows_truth),
    Job(
        "table rows",
        table_rows,
        lambda world: sorted(
            [row["span_id"], row["model_id"], row["status"]] for row in world.within(WHOLE)
        ),
    ),
    *(sdk_job("sum", field) for field in ("runs", "errors", "tokens", "model_costs")),
    sdk_job("mean", "latency"),
    sdk_job("min", "latency"),
    sdk_job("max", "tokens"),
    sdk_job("p95", "latency"),
    sdk_job("count_distinct", "users"),
    *(aggregate_job(kind, []) for kind in METRICS),
    aggregate_job("sums", ["model_id"]),
    aggregate_job("means", ["search_type"]),
    aggregate_job("p95", ["search_type"]),
    aggregate_job("sums", ["model_id", "search_type"]),
    aggregate_job("sums", ["time"], "day"),
    aggregate_job("p95", ["time"], "hour"),
    aggregate_job("sums", ["time", "model_id"], "day"),
    aggregate_job("distinct", ["time"], "hour"),
    Job("health tables", shared, shared_truth),
    *(export_job(format) for format in ("CSV", "JSON", "XLSX")),
    *(empty_job(format) for format in ("CSV", "JSON", "XLSX")),
    Job("alert on errors", alerted, of_days("errors_sum")),
    Job("alert on a rate", rated, of_days("error_rate")),
    Job("alert of an hour", single, lambda world: float(figures(world.within(NOON))["errors_sum"])),
]
