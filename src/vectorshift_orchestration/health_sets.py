"""Tables and checks of health that are kept together: none is in another's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.health import ErrorTable, HealthTable
from vectorshift_orchestration.specs.documents import require_list
from vectorshift_orchestration.thresholds.rules import Rule
from vectorshift_orchestration.windows import Window


@dataclass(frozen=True)
class HealthCheck:
    """A rule that each partition is judged by, from the same answer that fills the table.

    table: the name of a `HealthTable` of the set.
    rule: one of `vectorshift_orchestration.thresholds.rules` (`Absolute`, `Rate`, `Change`,
        `Baseline`), about all events of the query.
    name: the check's, like the rule's unless given.
    blocking: whether a failure with ERROR ends the step after all tables are written, so that nothing
        downstream runs.
    description: the text of the check page; a description of the rule by default.
    """

    table: str
    rule: Rule
    name: str | None = None
    blocking: bool = False
    description: str | None = None

    @property
    def check_name(self) -> str:
        """The name of the check."""
        return self.name or self.rule.name


def require_distinct(tables: Sequence[HealthTable | ErrorTable]) -> None:
    """Raise `SpecError` for tables that share a name: they would delete each other's rows.

    Likewise for none at all, and for what is not a table.
    """
    require_list(tables, "tables")
    for table in tables:
        if not isinstance(table, HealthTable | ErrorTable):
            raise SpecError(
                f"A table is a HealthTable or an ErrorTable, such as HealthTable({table!r}), not "
                f"{type(table).__name__}."
            )
    for names in (
        [table.name for table in tables],
        [table.table_name.lower() for table in tables],
    ):
        if not names or len(set(names)) < len(names):
            raise SpecError(
                "Health assets need at least one table, and different names for each asset and for "
                f"each table in the storage; these are {names}."
            )


def require_known(
    checks: Sequence[HealthCheck], tables: Sequence[HealthTable | ErrorTable]
) -> None:
    """Raise `SpecError` for a check of no table of the set, and for two of one table and name."""
    names, seen = [table.name for table in tables], set()
    for check in checks:
        if check.table not in names:
            raise SpecError(
                f"Check {check.check_name} is about table {check.table!r}, which is not one of the "
                f"set: {', '.join(names)}."
            )
        if (check.table, check.check_name) in seen:
            raise SpecError(
                f"Table {check.table} has two checks named {check.check_name}. Give them names."
            )
        seen.add((check.table, check.check_name))


def require_whole(table: HealthTable, windows: Iterable[Window]) -> None:
    """Raise `SpecError` for a window that would cut the table's buckets, which are UTC.

    It would hold a part of a bucket and take it for the whole.
    """
    for window in windows:
        if not window.is_aligned(table.interval):
            raise SpecError(
                f"Health table {table.name} has UTC buckets of one {table.interval}, and its partition "
                f"from {window.start.isoformat()} to {window.end.isoformat()} begins or ends inside of "
                "one, so it would hold a part of it. Let partitions begin where buckets do "
                "(timezone='UTC', no offset), or choose a smaller interval for the table."
            )
