"""Tables of pipeline health: what each one holds, and all of them measured at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from vectorshift_orchestration.aggregates.answers import BUCKET_TIME
from vectorshift_orchestration.aggregates.totals import total_names, totals
from vectorshift_orchestration.columns import MESSAGE_COLUMNS, aggregation_columns
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import Query
    from vectorshift_orchestration.thresholds.judging import Judging
    from vectorshift_orchestration.thresholds.verdicts import Verdict

DEFAULT_METRICS = (
    "runs.sum",
    "errors.sum",
    "error_rate",
    "latency.p95",
    "tokens.sum",
    "model_costs.sum",
)
"""Runs, failed runs, their share, ms that 95 % of runs stay below, tokens, and US dollars."""

_UNITS = {"latency": "ms", "node_latency": "ms", "model_costs": "US dollars"}


@dataclass(frozen=True)
class HealthTable:
    """One table: what is measured, and one row for each bucket of time and slice.

    name: the last part of the asset's key.
    metrics: what is measured, metrics of `AggregationSpec`, such as latency.p95.
    group_by: the dimensions that rows are sliced by besides time, such as pipeline_id.
    interval: hour, day, week, month or year: the UTC buckets of time, whose start is column
        `bucket_start`.
    table: the table in the storage, perhaps with its schema; named like the asset unless given.
    description: the asset's; what the columns hold unless given.

    Raises `SpecError` for an unknown name.
    """

    name: str
    metrics: Sequence[str] = DEFAULT_METRICS
    group_by: Sequence[str] = ("pipeline_id",)
    interval: str = "day"
    table: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.group_by, str):
            raise SpecError(f"group_by is a list of names; write [{self.group_by!r}].")
        if "time" in (name.lower() for name in self.group_by):
            raise SpecError(
                f"Health table {self.name} is sliced by time in any case, by its interval: name only "
                "the other dimensions in group_by."
            )
        _ = self.spec

    @cached_property
    def spec(self) -> AggregationSpec:
        """The aggregation that fills the table."""
        return AggregationSpec(self.metrics, ("time", *self.group_by), self.interval)

    @property
    def table_name(self) -> str:
        """The table in the storage."""
        return self.table or self.name

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as JSON: the code version follows from it."""
        return self.spec.to_dict()

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns and their types, as Arrow names them."""
        return aggregation_columns(self.spec)

    @property
    def origins(self) -> dict[str, list[str]]:
        """Which measured fields and dimensions of an event each column is made of."""
        origins = {BUCKET_TIME: ["time"]} | {name: [name] for name in self.group_by}
        for column in self.spec.columns:
            parts = (
                [column.numerator, column.denominator] if isinstance(column, Ratio) else [column]
            )
            origins[column.column] = [str(part.operation.field) for part in parts]
        return origins

    @property
    def descriptions(self) -> dict[str, str]:
        """What the columns hold, with the unit where there is one."""
        descriptions = {BUCKET_TIME: f"Start of the {self.interval}, UTC"}
        for column in self.spec.columns:
            if isinstance(column, Ratio):
                parts = (column.numerator, column.denominator)
                descriptions[column.column] = " / ".join(part.operation.shorthand for part in parts)
            else:
                unit = _UNITS.get(str(column.operation.field))
                descriptions[column.column] = column.operation.shorthand + (
                    f", {unit}" if unit else ""
                )
        return descriptions

    @property
    def summary(self) -> str:
        """What a row is, and what the columns hold, as Markdown."""
        slices = " and ".join([self.interval, *self.group_by])
        return _listed(f"Health of VectorShift: one row for each {slices}.", self.descriptions)

    @property
    def sort_by(self) -> str | None:
        """The first metric, by which a preview chooses its rows."""
        return next((each.column for each in self.spec.columns if isinstance(each, Metric)), None)

    @property
    def figure_names(self) -> list[str]:
        """The figures that a window may have."""
        return total_names(self.spec)

    def figures(self, rows: pa.Table) -> dict[str, float]:
        """The figures of a window over all its slices."""
        return totals(rows, self.spec)


@dataclass(frozen=True)
class ErrorTable:
    """A table of the commonest error messages: for each partition `limit` rows at most.

    Columns are `bucket_start` (the partition's start, UTC), `error_message`, `events` (failed events
    with that message), and `examined_events` and `failed_events` of the partition: where fewer were
    examined, the counts are those of a sample. Nothing groups by message on the service, so it is
    one more request for a run, and more where a page does not hold the failed events of all its
    partitions. Steps that failed count as well; a query by kinds, such as `pipeline.run`, counts
    runs. Messages are your users' own text.

    name: the last part of the asset's key.
    limit: the most rows of a partition, 1 or more.
    table: the table in the storage; named like the asset unless given.
    description: the asset's; what the columns hold unless given.

    Raises `SpecError` for a limit below 1.
    """

    name: str = "error_messages"
    limit: int = 20
    table: str | None = None
    description: str | None = None

    sort_by: ClassVar[str] = "events"
    figure_names: ClassVar[tuple[str, ...]] = ("failed_events", "examined_events")
    origins: ClassVar[Mapping[str, Sequence[str]]] = {
        BUCKET_TIME: ("time",),
        "error_message": ("error_message",),
        "events": ("error_message", "status"),
        "examined_events": ("status",),
        "failed_events": ("status",),
    }

    descriptions: ClassVar[Mapping[str, str]] = {
        BUCKET_TIME: "Start of the partition, UTC",
        "error_message": "The users' own text",
        "events": "Failed events with this message, of those examined",
        "examined_events": "Failed events of the partition that were looked at",
        "failed_events": "Failed events of the partition",
    }

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise SpecError(f"limit={self.limit} leaves table {self.name} empty. Give 1 or more.")

    @property
    def table_name(self) -> str:
        """The table in the storage."""
        return self.table or self.name

    @property
    def summary(self) -> str:
        """What a row is, and what the columns hold, as Markdown."""
        lead = f"The {self.limit} commonest error messages of VectorShift in each partition."
        return _listed(lead, self.descriptions)

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as JSON: the code version follows from it."""
        return {"error_messages": self.limit}

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns and their types, as Arrow names them."""
        return MESSAGE_COLUMNS

    def figures(self, rows: pa.Table) -> dict[str, float]:
        """How many events of a window failed, and how many of them were examined."""
        if not rows.num_rows:
            return dict.fromkeys(self.figure_names, 0)
        figures = {name: rows[name][0].as_py() for name in self.figure_names}
        return {name: value for name, value in figures.items() if value is not None}


Table: TypeAlias = HealthTable | ErrorTable


def _listed(lead: str, columns: Mapping[str, str]) -> str:
    return "\n".join([lead, "", *(f"- `{name}`: {text}" for name, text in columns.items())])


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of each table by its name, the verdicts of each judging, and what they cost.

    `separate_reason` says why tables were requested one by one, else None.
    """

    tables: dict[str, pa.Table]
    verdicts: list[list[Verdict]]
    requests: int
    separate_reason: str | None


def measure(
    query: Query,
    windows: Sequence[Window],
    tables: Sequence[Table],
    judgings: Sequence[Judging],
    *,
    share: bool = True,
) -> Measured:
    """Ask the service for tables and judgings of the same windows, in as few requests as are exact.

    The windows are in order; the rows are those from the first one's start to the last one's end.
    Raises `RowOutsideWindow` for a bucket that was not requested, and the errors of
    `shared_requests.aggregate_many` and `error_messages`.
    """
    from vectorshift_orchestration.extract.shared_requests import Answers, aggregate_many
    from vectorshift_orchestration.thresholds.error_messages import error_messages

    messages = {
        table.name: error_messages(query, windows, limit=table.limit)
        for table in tables
        if isinstance(table, ErrorTable)
    }
    measured = [table for table in tables if isinstance(table, HealthTable)]
    questions = [each.question for each in judgings]
    specs = [table.spec for table in measured] + [each.spec for each in questions]
    span = _span([*windows, *(each.window for each in questions)])
    answers = aggregate_many(query, span, specs, share=share) if specs else Answers([], 0)
    run = _span(windows)
    rows = {
        table.name: cut(answer, [run])[run]
        for table, answer in zip(measured, answers.tables, strict=False)
    }
    judged = zip(judgings, answers.tables[len(measured) :], strict=True)
    return Measured(
        rows | {name: message.table for name, message in messages.items()},
        [judging.verdicts(answer.to_pylist()) for judging, answer in judged],
        answers.requests + sum(message.requests for message in messages.values()),
        answers.separate_reason,
    )


def cut(rows: pa.Table, windows: Sequence[Window]) -> dict[Window, pa.Table]:
    """The rows of each window, out of rows in order of time."""
    starts = rows[BUCKET_TIME].to_pylist()
    edges = {
        window: (bisect_left(starts, window.start), bisect_left(starts, window.end))
        for window in windows
    }
    return {window: rows.slice(first, end - first) for window, (first, end) in edges.items()}


def _span(windows: Sequence[Window]) -> Window:
    return Window(min(each.start for each in windows), max(each.end for each in windows))
