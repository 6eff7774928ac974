"""What the rows of a JSON file look like, learned from the first of them, so that the rest is decoded straight into columns.

A dictionary and a value of its own for each of 27 keys are most of what reading a row costs. Rows that have the same keys,
and nothing or nothing but texts under most of them, need neither. What turns out to look otherwise is decoded key by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import pyarrow as pa

from vectorshift_orchestration.tables import EVENT_SCHEMA, canonical_name

Object: TypeAlias = dict[str, msgspec.Raw]
Rows: TypeAlias = list[Object] | list[msgspec.Struct]
"""Objects by their keys, or all of them in a shape that was learned."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
NULL = msgspec.Raw(b"null")

Kind: TypeAlias = Literal["null", "text", "number", "json"]
"""What a column has been seen to hold: nothing, texts, what is a double in the end, or any JSON."""

_TYPES: dict[Kind, tuple[Any, Any]] = {
    "null": (None, None),
    "text": (str | None, None),
    "number": (float | None, None),
    "json": (msgspec.Raw, NULL),
}
"""What it is decoded into, and what stands for a key that a row lacks."""

_DOUBLES = {field.name for field in EVENT_SCHEMA if pa.types.is_floating(field.type)}
_DIGITS = {bytes([digit]) for digit in b"-0123456789"}


class _Decoders(NamedTuple):
    one: Callable[[bytes], Any]
    array: Callable[[bytes], Any]
    lines: Callable[[memoryview], Any]


def _decoders(row: Any) -> _Decoders:
    one = msgspec.json.Decoder(row)
    return _Decoders(one.decode, msgspec.json.Decoder(list[row]).decode, one.decode_lines)


_by_key = _decoders(Object)


class Shape:
    """Decodes rows: by their keys at first, and in the shape of a row that it was shown."""

    def __init__(self) -> None:
        self._shaped: _Decoders | None = None
        self._kinds: dict[str, Kind] = {}
        """By the keys, in the order of the columns."""

    def one(self, text: bytes) -> Rows:
        """The object that this text is. Raises one of `UNREADABLE`."""
        return self._decoded(lambda into: [into.one(text)])

    def array(self, text: memoryview) -> Rows:
        """The objects of this text, between commas. Raises one of `UNREADABLE`."""
        return self._decoded(lambda into: into.array(b"".join((b"[", text, b"]"))))

    def lines(self, text: memoryview) -> Rows:
        """The objects of this text, one a line. Raises one of `UNREADABLE`."""
        return self._decoded(lambda into: into.lines(text))

    def learn(self, names: Sequence[str], row: Mapping[str, msgspec.Raw]) -> None:
        """Take other rows to be like this one, whose keys are columns of these names."""
        spelled = {key if key in names else canonical_name(key): key for key in row}
        if spelled.keys() <= set(names) and len(spelled) == len(row):
            self._kinds = {spelled.get(name, name): "null" for name in names}
            self._widen([row])
            self._build()

    def _decoded(self, decode: Callable[[_Decoders], Rows]) -> Rows:
        rows: Rows | None = None
        while self._shaped is not None:
            try:
                return decode(self._shaped)
            except UNREADABLE:
                self._shaped = None
            rows = decode(_by_key)
            if self._widen(rows):
                self._build()
        return decode(_by_key) if rows is None else rows

    def _widen(self, rows: Sequence[Any]) -> bool:
        """Note what the columns hold; whether it is more than was known."""
        before = self._kinds.copy()
        for key, kind in before.items():
            begins = {bytes(row.get(key, NULL))[:1] for row in rows} - {b"n"}
            if kind == "json" or not begins:
                continue
            if begins == {b'"'} and kind != "number":
                self._kinds[key] = "text"
            elif begins <= _DIGITS and kind != "text" and canonical_name(key) in _DOUBLES:
                self._kinds[key] = "number"
            else:
                self._kinds[key] = "json"
        return self._kinds != before

    def _build(self) -> None:
        columns = {_field(place): each for place, each in enumerate(self._kinds.items())}
        try:
            row = msgspec.defstruct(
                "Row",
                [(field, *_TYPES[kind]) for field, (_, kind) in columns.items()],
                namespace={"kinds": [*self._kinds.values()]},
                rename={field: key for field, (key, _) in columns.items()},
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:
            return  # a key with a quote or a control character
        self._shaped = _decoders(row)


def columns_of(rows: Sequence[Any]) -> Iterator[tuple[Kind, Iterator[Any]]]:
    """What each column of rows of one shape holds, and its cells: values or None, or JSON."""
    for place, kind in enumerate(rows[0].kinds):
        yield kind, map(attrgetter(_field(place)), rows)


def _field(place: int) -> str:
    return f"c{place}"
