"""Results as people look at them in a notebook, and as the tables of the libraries that they go on with.

The results are the dicts that the reference page describes, equal to them and JSON like them; what is here comes
besides: `to_arrow()`, `to_pandas()`, `to_polars()`, and a representation in HTML. None of the libraries is needed for
anything else, and each only for its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

_SHOWN = 50
"""Rows that a notebook shows."""
_WIDEST = 200


class Tabular(dict[str, Any]):
    """A result with rows. Objects and lists in a cell become JSON text in the libraries' tables."""

    __slots__ = ()

    def _rows(self) -> Iterable[dict[str, Any]]:
        raise NotImplementedError

    def _names(self) -> list[str]:
        """The columns, in order: those of any row."""
        return list(dict.fromkeys(name for row in self._rows() for name in row))

    def _columns(self) -> dict[str, list[Any]]:
        rows = list(self._rows())
        return {name: _alike([dict.get(row, name) for row in rows]) for name in self._names()}

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`. Raises `ModuleNotFoundError` without pyarrow."""
        return _library("pyarrow", "to_arrow").table(self._columns())

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`. Raises `ModuleNotFoundError` without pandas."""
        return _library("pandas", "to_pandas").DataFrame(self._columns())

    def to_polars(self) -> Any:
        """The rows as a `polars.DataFrame`. Raises `ModuleNotFoundError` without polars."""
        return _library("polars", "to_polars").DataFrame(self._columns(), strict=False)

    def _repr_html_(self) -> str:
        columns = self._columns()
        rows = list(zip(*columns.values(), strict=True))
        more = len(rows) - _SHOWN
        note = f"<p>and {more:,} more</p>" if more > 0 else ""
        return html_table(list(columns), rows[:_SHOWN]) + note


class Events(Tabular):
    """A page of events."""

    __slots__ = ()

    def _rows(self) -> Iterable[dict[str, Any]]:
        rows: list[dict[str, Any]] = self["events"]
        return rows


class Rows(Tabular):
    """A page of a table; `interface_data` is a column where it was asked for."""

    __slots__ = ()

    def _rows(self) -> Iterable[dict[str, Any]]:
        for row in self["rows"]:
            more = {"interface_data": row["interface_data"]} if "interface_data" in row else {}
            yield {**row["values"], **more}

    def _names(self) -> list[str]:
        names = [each["name"] for each in self["columns"] if "name" in each]
        return list(dict.fromkeys([*names, *super()._names()]))


class Figures(Tabular):
    """An aggregation: a row for each slice, a column for each dimension and each operation."""

    __slots__ = ("_dims",)

    def __init__(self, buckets: Mapping[str, Any], dims: Sequence[str] = ()) -> None:
        super().__init__(buckets)
        self._dims = tuple(dims)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self._dims)

    def _rows(self) -> Iterable[dict[str, Any]]:
        rows: dict[tuple[str, ...], dict[str, Any]] = {}
        for operation in self["buckets"]:
            for labels, value in _leaves(operation, len(self._dims)):
                row = rows.setdefault(labels, dict(zip(self._dims, labels, strict=False)))
                row[operation["label"]] = value
        return rows.values()


class SecretTask(dict[str, Any]):
    """An export task, whose representation leaves out the signed address that anybody could download from."""

    __slots__ = ()

    def __or__(self, other: Any) -> Any:
        return type(self)({**self, **other})

    def __ror__(self, other: Any) -> Any:
        return type(self)({**other, **self})

    def __repr__(self) -> str:
        return repr({**self, "download_url": "***"} if self.get("download_url") else dict(self))


def html_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of HTML; users' own texts are only text."""
    from html import escape  # which reads all entities of HTML

    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = ("".join(f"<td>{escape(_cell(value))}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _leaves(bucket: Mapping[str, Any], depth: int) -> Iterable[tuple[tuple[str, ...], Any]]:
    """The figures of the innermost slices, each with the labels that lead to it."""
    if not depth:
        yield (), bucket.get("value")
        return
    for each in bucket.get("nested", ()):
        for labels, value in _leaves(each, depth - 1):
            yield (each["label"], *labels), value


def _alike(values: list[Any]) -> list[Any]:
    """The same values as one type that a column may have: objects as JSON, and what is mixed as text."""
    plain = [json.dumps(each) if isinstance(each, dict | list) else each for each in values]
    kinds = {type(each) for each in plain if each is not None}
    if len(kinds) < 2:
        return plain
    if kinds == {int, float}:
        return [each if each is None else float(each) for each in plain]
    return [each if each is None or isinstance(each, str) else json.dumps(each) for each in plain]


def _library(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        raise ModuleNotFoundError(
            f"{method}() needs {name}: pip install {name}", name=name
        ) from None
