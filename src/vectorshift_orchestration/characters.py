"""What no text of a database holds, replaced where the user says so, and counted.

NUL characters, lone surrogates and bytes that are not UTF-8 come out of broken tools and cut texts.
One of them in one error message would keep the rows of its window out of a table for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""The replacement of each: U+FFFD, the Unicode standard's own."""

ADVICE = "Or land the rows with replace_characters=True, which writes U+FFFD in its place."
"""The end of a refusal that the replacement would spare."""

_ENCODED = REPLACEMENT.encode()
_SURROGATE = re.compile(
    rb"\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Characters:
    """The replacement, and how many there were: `count`."""

    def __init__(self) -> None:
        self.count = 0

    def decoded(self, text: bytes) -> bytes:
        """The bytes as UTF-8."""
        replaced = text.decode(errors="replace").encode()
        self.count += replaced.count(_ENCODED) - text.count(_ENCODED)
        return replaced

    def json(self, text: bytes) -> bytes:
        """JSON in UTF-8, without escapes of half a character."""
        return _SURROGATE.sub(self._half, self.decoded(text))

    def stored(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches without NUL characters."""
        for batch in batches:
            columns = [self._without_nul(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def stored_table(self, rows: pa.Table) -> pa.Table:
        """The table without NUL characters."""
        return pa.Table.from_batches(self.stored(rows.to_batches()), rows.schema)

    def _without_nul(self, column: pa.Array) -> pa.Array:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return column
        count = pc.sum(pc.count_substring(column, "\0")).as_py() or 0
        self.count += count
        return pc.replace_substring(column, "\0", REPLACEMENT) if count else column

    def _half(self, match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            return match[0]
        self.count += 1
        return rb"\ufffd"
