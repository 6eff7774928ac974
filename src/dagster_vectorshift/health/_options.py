"""The options of a set of health assets."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any

import dagster as dg

from dagster_vectorshift._documents import OptionalText
from dagster_vectorshift._options import AssetOptions
from dagster_vectorshift._partitions import beginning, sampled
from dagster_vectorshift.failures import as_invalid_definition
from dagster_vectorshift.health._checks import HealthCheck
from dagster_vectorshift.schedules import PLANNED, Schedule
from dagster_vectorshift.tables import Table
from vectorshift_orchestration.errors import MergeError, SpecError, WindowError
from vectorshift_orchestration.frames import RowType, require_type
from vectorshift_orchestration.health import HealthTable
from vectorshift_orchestration.health_sets import require_distinct, require_known, require_whole
from vectorshift_orchestration.specs.measurable import require_measurable


@dataclass(frozen=True, kw_only=True)
class HealthOptions(AssetOptions):
    """The options of every set of health assets; `AssetOptions` describes the others.

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
        with as_invalid_definition():
            require_distinct(self.tables)
            self.check(f"Health table {self.tables[0].name}")
            for table in self.tables:
                if isinstance(table, HealthTable):
                    require_whole(table, sampled(self.partitions_def))
            require_type(self.as_type)
            if self.io_manager_key is None and self.as_type != "arrow":
                raise SpecError(
                    f"as_type={self.as_type!r} is how an IO manager gets the rows: give "
                    "io_manager_key, too."
                )
            if self.checks or any(isinstance(each, HealthTable) for each in self.tables):
                require_measurable(self.query)
            require_known(self.checks, self.tables)
            _require_judgeable(self.checks, self.partitions_def)


@dataclass(frozen=True, kw_only=True)
class HealthBodyOptions(HealthOptions):
    """The same for a body of your own; `required_resource_keys` are resources that it needs besides."""

    required_resource_keys: Set[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class HealthDefinitionsOptions(HealthOptions):
    """The same with what runs the assets; `schedule` holds arguments of `build_health_schedule`."""

    schedule: Annotated[Schedule | Mapping[str, Any] | None, PLANNED] = None


def _require_judgeable(
    checks: Sequence[HealthCheck], partitions_def: dg.TimeWindowPartitionsDefinition
) -> None:
    """Each check can be answered for a partition."""
    first = beginning(partitions_def, partitions_def.start)
    for check in checks:
        try:
            _ = check.judging([first], partitions_def).question
        except (MergeError, WindowError) as problem:
            raise dg.DagsterInvalidDefinitionError(
                f"Check {check.table}:{check.check_name} cannot be answered for these partitions: "
                f"{problem} Or take build_rule_check, which asks for such partitions one by one."
            ) from problem
