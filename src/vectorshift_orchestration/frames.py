"""Rows in the requested type: Arrow, pandas or polars."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    import pyarrow as pa

RowType: TypeAlias = Literal["arrow", "pandas", "polars"]


def require_type(as_type: str) -> None:
    """Raise `SpecError` for a type that is unknown, or whose library is not installed."""
    if as_type not in get_args(RowType):
        raise SpecError(f"as_type is one of {', '.join(get_args(RowType))}, not {as_type!r}.")
    if as_type != "arrow" and find_spec(as_type) is None:
        raise SpecError(f"as_type={as_type!r} needs {as_type}, which is not installed here.")


def converted(rows: pa.Table, as_type: RowType) -> Any:
    """The rows as a `pa.Table`, `pd.DataFrame` or `pl.DataFrame`.

    Times become naive and hold UTC, because a database that shifts zoned times with its session
    would store and delete other hours. For pandas decimals become doubles: as
    objects, a database would guess their width from the first rows.
    """
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(kind):
            return pa.timestamp(kind.unit)
        return pa.float64() if pa.types.is_decimal(kind) and as_type == "pandas" else kind

    table = rows.cast(pa.schema([field.with_type(plain(field.type)) for field in rows.schema]))
    if as_type == "pandas":
        # As objects, a column of nulls has no type, and a database would make one up.
        return table.to_pandas(
            types_mapper={pa.string(): import_module("pandas").StringDtype()}.get
        )
    if as_type == "polars":
        return import_module("polars").from_arrow(table)
    return table
