"""Rows in the type that an IO manager takes: Arrow, pandas or polars."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("arrow", "pandas", "polars")


def require_type(as_type: str) -> None:
    """Refuse a type that is unknown, or whose library is not installed, when definitions load."""
    if as_type not in TYPES:
        raise dg.DagsterInvalidDefinitionError(
            f"as_type is one of {', '.join(TYPES)}, not {as_type!r}."
        )
    if as_type != "arrow" and find_spec(as_type) is None:
        raise dg.DagsterInvalidDefinitionError(
            f"as_type={as_type!r} needs {as_type}, which is not installed here."
        )


def converted(rows: "pa.Table", as_type: str) -> Any:
    """The rows as a `pa.Table`, `pd.DataFrame` or `pl.DataFrame`.

    Times become naive and hold UTC, because a database that shifts zoned times with its session
    would store and delete other hours (DAGSTER.md 0.7).
    """
    import pyarrow as pa

    naive = pa.schema(
        [
            field.with_type(pa.timestamp(field.type.unit))
            if pa.types.is_timestamp(field.type)
            else field
            for field in rows.schema
        ]
    )
    table = rows.cast(naive)
    if as_type == "pandas":
        return table.to_pandas()
    if as_type == "polars":
        return import_module("polars").from_arrow(table)
    return table
