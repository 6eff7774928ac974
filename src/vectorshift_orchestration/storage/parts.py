"""What one write replaces: windows of a table, of all its rows or of one source's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.identifiers import TableName
from vectorshift_orchestration.windows import Window

SOURCE = "source_name"
"""The column that distinguishes the rows of several sources in one table."""

_LONGEST = 100


class Part(Struct, frozen=True):
    """Windows of a table: all rows in them, or those whose `SOURCE` is `source`.

    Each of the windows begins where the one before it ends; there is at least one.
    """

    table: TableName
    windows: tuple[Window, ...]
    source: str | None = None

    @property
    def window(self) -> Window:
        """All of the windows as one."""
        return Window(self.windows[0].start, self.windows[-1].end)

    def only(self, window: Window) -> Part:
        """One window of the part."""
        return replace(self, windows=(window,))

    def __str__(self) -> str:
        whose = "" if self.source is None else f", source {self.source!r},"
        return f"Window {self.window.label} of {self.table.sql}{whose}"


def runs(windows: Iterable[Window]) -> Iterator[tuple[Window, ...]]:
    """The windows in their order, cut wherever one does not begin where the one before it ends."""
    run: list[Window] = []
    for window in windows:
        if run and run[-1].end != window.start:
            yield tuple(run)
            run = []
        run.append(window)
    if run:
        yield tuple(run)


def check_source(source: object) -> None:
    """Raise `StorageError` for what cannot name a source in every database."""
    if not isinstance(source, str) or not 0 < len(source) <= _LONGEST:
        raise StorageError(f"A source is a text of 1 to {_LONGEST} characters, not {source!r}.")
    if source != source.strip() or not source.isprintable():
        raise StorageError(
            f"The source {source!r} begins or ends with a blank, or holds characters that cannot be "
            "seen. Use letters, digits and punctuation."
        )
