"""Requests as frozen values: made by `contract.py`, turned into SQL by `sql.py`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from vectorshift_emulator.api.columns import Column
from vectorshift_emulator.exports.files import Extension

Operand: TypeAlias = str | datetime


class Aggregator(StrEnum):
    """The operators of an aggregation, by their wire names."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    COUNT_DISTINCT = "count_distinct"
    PERCENTILE = "percentile"


@dataclass(frozen=True)
class Kind:
    """A span kind; variant `all` is any span of the entity."""

    entity: str
    variant: str


@dataclass(frozen=True)
class Comparison:
    """A column compared with one value; `operator` is the SQL spelling."""

    column: Column
    operator: str
    value: Operand


@dataclass(frozen=True)
class Matches:
    """A column searched for a regular expression, or for the text itself when it is none."""

    column: Column
    pattern: str


@dataclass(frozen=True)
class AnyOf:
    """A column equal to any of the values; `scope` distinguishes a scope filter's IN from INCLUDES."""

    column: Column
    values: tuple[Operand, ...]


Filter: TypeAlias = Comparison | Matches | AnyOf


@dataclass(frozen=True)
class Conditions:
    """What an event must fulfil: everything in `pinned`, kinds and times, and the joined filters.

    Args:
        kinds: any of these; none means any kind.
        pinned: filters that always AND (ObjectId equality, docs/contract.md G2).
        filters: filters joined by AND, or by OR when `any_of`.
        start: the lower bound of the start time, aware UTC.
        end: the upper bound of the start time, aware UTC.
    """

    kinds: tuple[Kind, ...] = ()
    pinned: tuple[Filter, ...] = ()
    filters: tuple[Filter, ...] = ()
    any_of: bool = False
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Page:
    """A page of `size` rows: from `offset` on (search), or page `number` from 1 (tables)."""

    size: int
    number: int
    offset: int


@dataclass(frozen=True)
class Search:
    """A request for a page of events."""

    conditions: Conditions
    page: Page


@dataclass(frozen=True)
class Operation:
    """One aggregation; `percent` is set for a percentile only."""

    field: str
    aggregator: Aggregator
    percent: int | None = None

    @property
    def label(self) -> str:
        """The key of its result: `tokens_sum`, `latency_percentile_95` (docs/contract.md A5)."""
        suffix = "" if self.percent is None else f"_{self.percent}"
        return f"{self.field.lower()}_{self.aggregator}{suffix}"


@dataclass(frozen=True)
class Aggregation:
    """A request for aggregations by one or more dimensions."""

    conditions: Conditions
    operations: tuple[Operation, ...]
    dimensions: tuple[str, ...]
    interval: str | None


@dataclass(frozen=True)
class TableColumn:
    """A column of a table, with the label that its cells carry."""

    label: str
    column: Column


@dataclass(frozen=True)
class Table:
    """A request for a page of a table, or for an export of the whole."""

    conditions: Conditions
    columns: tuple[TableColumn, ...]
    page: Page
    interface_data: bool
    record_count: bool


@dataclass(frozen=True)
class Export:
    """A request for a file of every row of a table."""

    table: Table
    extension: Extension
    file_name: str


@dataclass(frozen=True)
class RunData:
    """A request for the interface data of one run; `object_type` is lower case."""

    object_id: str
    object_type: str
    run_identifier: str
