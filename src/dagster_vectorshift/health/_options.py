"""What a set of health assets may be told."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, get_args

import dagster as dg

from dagster_vectorshift._documents import OptionalText
from dagster_vectorshift._options import AssetOptions, require_several
from dagster_vectorshift._partitions import require_whole_buckets
from dagster_vectorshift.checks._evaluations import require_measurable, require_timeless
from dagster_vectorshift.health._checks import HealthCheck
from dagster_vectorshift.schedules import PLANNED, Schedule
from dagster_vectorshift.tables import ErrorTable, HealthTable, Table
from vectorshift_orchestration.errors import MergeError, WindowError
from vectorshift_orchestration.frames import RowType
from vectorshift_orchestration.windows import Window


@dataclass(frozen=True, kw_only=True)
class HealthOptions(AssetOptions):
    """What every set of health assets takes; what is not told here is told at `AssetOptions`.

    tables: what to keep, each a `HealthTable` or an `ErrorTable`; one asset for each.
    partitions_def: windows of time whose edges are edges of the tables' UTC buckets.
    checks: rules that each partition is judged by, from the same answers.
    name: the op's name, which its schedule and job continue; from the prefix and the first table
        unless given.
    backfill_policy: None puts all partitions of a backfill into one run; give
        `dg.BackfillPolicy.multi_run(n)` to put `n` at most into one.
    io_manager_key: hand the rows to this IO manager instead of the storage.
    as_type: as what the IO manager gets them.
    share_requests: False asks for each table by itself.
    """

    tables: Sequence[Table]
    checks: Sequence[HealthCheck] = ()
    name: OptionalText = None
    io_manager_key: OptionalText = None
    as_type: RowType = "arrow"
    share_requests: bool = True

    @property
    def op(self) -> str:
        """The op's name. It follows from the first table, so that another one renames no schedule."""
        return self.named(self.name, self.tables[0].name)

    def __post_init__(self) -> None:
        """Ask nothing, but find out now what could not be kept or answered."""
        _require_different(self.tables)
        self.check(f"Health table {self.tables[0].name}")
        for table in self.tables:
            if isinstance(table, HealthTable):
                require_whole_buckets(self.partitions_def, table.interval, table.name)
        _require_type(self.as_type)
        if self.io_manager_key is None and self.as_type != "arrow":
            raise dg.DagsterInvalidDefinitionError(
                f"as_type={self.as_type!r} is how an IO manager gets the rows: give io_manager_key, "
                "too."
            )
        require_timeless(self.query)
        if self.checks or any(isinstance(each, HealthTable) for each in self.tables):
            require_measurable(self.query)
        _require_judgeable(self.checks, self.tables, self.partitions_def)


@dataclass(frozen=True, kw_only=True)
class HealthBodyOptions(HealthOptions):
    """The same for a body of your own; `required_resource_keys` are resources that it needs besides."""

    required_resource_keys: Set[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class HealthDefinitionsOptions(HealthOptions):
    """The same with what runs the assets; `schedule` holds arguments of `build_health_schedule`."""

    schedule: Annotated[Schedule | Mapping[str, Any] | None, PLANNED] = None


def _require_type(as_type: str) -> None:
    """Refuse a type that is unknown, or whose library is not installed, when definitions load."""
    if as_type not in get_args(RowType):
        raise dg.DagsterInvalidDefinitionError(
            f"as_type is one of {', '.join(get_args(RowType))}, not {as_type!r}."
        )
    if as_type != "arrow" and find_spec(as_type) is None:
        raise dg.DagsterInvalidDefinitionError(
            f"as_type={as_type!r} needs {as_type}, which is not installed here."
        )


def _require_different(tables: Sequence[Table]) -> None:
    """Two assets that write one table would delete each other's rows."""
    require_several(tables, "tables")
    for table in tables:
        if not isinstance(table, HealthTable | ErrorTable):
            raise dg.DagsterInvalidDefinitionError(
                f"A table is a HealthTable or an ErrorTable, such as HealthTable({table!r}), not "
                f"{type(table).__name__}."
            )
    for names in (
        [table.name for table in tables],
        [table.table_name.lower() for table in tables],
    ):
        if not names or len(set(names)) < len(names):
            raise dg.DagsterInvalidDefinitionError(
                "Health assets need at least one table, and different names for each asset and for "
                f"each table in the storage; these are {names}."
            )


def _require_judgeable(
    checks: Sequence[HealthCheck],
    tables: Sequence[Table],
    partitions_def: dg.TimeWindowPartitionsDefinition,
) -> None:
    """Each check is about a table of the set, has a name of its own, and can be answered."""
    known, seen = [table.name for table in tables], set()
    first = partitions_def.get_next_partition_window(partitions_def.start, respect_bounds=False)
    for check in checks:
        if check.table not in known:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {check.check_name} is about table {check.table!r}, which is not one of the "
                f"set: {', '.join(known)}."
            )
        if (check.table, check.check_name) in seen:
            raise dg.DagsterInvalidDefinitionError(
                f"Table {check.table} has two checks named {check.check_name}. Give them names."
            )
        seen.add((check.table, check.check_name))
        try:
            if first is not None:
                _ = check.judging([Window(*first)], partitions_def).question
        except (MergeError, WindowError) as problem:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {check.table}:{check.check_name} cannot be answered for these partitions: "
                f"{problem} Or take build_rule_check, which asks for such partitions one by one."
            ) from problem
