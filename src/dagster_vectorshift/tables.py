"""What a set of health assets keeps and checks, as plain values that are checked at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from dagster_vectorshift._documents import Document, OptionalText, Text, Texts
from dagster_vectorshift._figures import total_names, totals
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec, Metric, Ratio

if TYPE_CHECKING:
    import pyarrow as pa


BUCKET_TIME = "bucket_start"
"""The time column of every table of health; the module that makes tables loads Arrow."""

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
class HealthTable(Document):
    """One table: what is measured, and one row for each bucket of time and slice.

    `name` is the last part of the asset's key. `metrics` and `group_by` are words of
    `AggregationSpec`; time is always sliced by, in UTC buckets of `interval` (hour, day, week,
    month, year), whose start is column `bucket_start`. `table` is the table in the storage, perhaps
    with its schema, and named like the asset unless given. Raises `SpecError` for an unknown word.
    """

    name: Text
    metrics: Texts = DEFAULT_METRICS
    group_by: Texts = ("pipeline_id",)
    interval: Text = "day"
    table: OptionalText = None
    description: OptionalText = None

    def __post_init__(self) -> None:
        if isinstance(self.group_by, str):
            raise SpecError(f"group_by is a list of names; write [{self.group_by!r}].")
        if "time" in (name.lower() for name in self.group_by):
            raise SpecError(
                f"Health table {self.name} is sliced by time in any case, by its interval: name only "
                "the other dimensions in group_by."
            )
        _ = self.spec

    @property
    def spec(self) -> AggregationSpec:
        """The aggregation that fills the table."""
        return AggregationSpec(self.metrics, ("time", *self.group_by), self.interval)

    @property
    def table_name(self) -> str:
        """The table in the storage."""
        return self.table or self.name

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON: the code version follows from it."""
        return self.spec.to_dict()

    @property
    def origins(self) -> dict[str, list[str]]:
        """Which measured fields and dimensions of an event each column is made of."""
        found = {BUCKET_TIME: ["time"]} | {name: [name] for name in self.group_by}
        for column in self.spec.columns:
            parts = (
                [column.numerator, column.denominator] if isinstance(column, Ratio) else [column]
            )
            found[column.column] = [str(part.operation.field) for part in parts]
        return found

    @property
    def descriptions(self) -> dict[str, str]:
        """What the columns hold, with the unit where there is one."""
        found = {BUCKET_TIME: f"Start of the {self.interval}, UTC"}
        for column in self.spec.columns:
            if isinstance(column, Ratio):
                parts = (column.numerator, column.denominator)
                found[column.column] = " / ".join(part.operation.shorthand for part in parts)
            else:
                unit = _UNITS.get(str(column.operation.field))
                found[column.column] = column.operation.shorthand + (f", {unit}" if unit else "")
        return found

    @property
    def sort_by(self) -> str | None:
        """The first metric, by which a preview chooses its rows."""
        return next((each.column for each in self.spec.columns if isinstance(each, Metric)), None)

    @property
    def figure_names(self) -> list[str]:
        """The figures that a partition may tell."""
        return total_names(self.spec)

    def figures(self, rows: "pa.Table") -> dict[str, float]:
        """The figures of a partition over all its slices."""
        return totals(rows, self.spec)


@dataclass(frozen=True)
class ErrorTable(Document):
    """A table of the commonest error messages: for each partition `limit` rows at most.

    Columns are `bucket_start` (the partition's start, UTC), `error_message`, `events` (failed events
    with that message), and `examined_events` and `failed_events` of the partition: where fewer were
    examined, the counts are those of a sample. Nothing groups by message on the service, so it is
    one more request for a run, and more where a page does not hold the failed events of all its
    partitions. Steps that failed count as well; a query by kinds, such as `pipeline.run`, counts
    runs. Messages are your users' own text.

    `name` is the last part of the asset's key; `table` is the table in the storage, named like the
    asset unless given. Raises `SpecError` for a limit below 1.
    """

    name: Text = "error_messages"
    limit: int = 20
    table: OptionalText = None
    description: OptionalText = None

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
    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON: the code version follows from it."""
        return {"error_messages": self.limit}

    def figures(self, rows: "pa.Table") -> dict[str, float]:
        """How many events of a partition failed, and how many of them were examined."""
        if not rows.num_rows:
            return dict.fromkeys(self.figure_names, 0)
        told = {name: rows[name][0].as_py() for name in self.figure_names}
        return {name: value for name, value in told.items() if value is not None}


Table: TypeAlias = HealthTable | ErrorTable
"""What a set of health assets may consist of."""
