"""What a command says: results on stdout as a table, JSON or CSV; words and progress on stderr, for people."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

Form: TypeAlias = Literal["table", "json", "csv"]
Row: TypeAlias = Mapping[str, Any]

_PIPED = 10_000
"""Columns of what is not a terminal: a table in a file is not cut."""


class Screen:
    """Stdout and stderr of a command; with `svg` both are kept as a picture, for documentation."""

    def __init__(self, svg: Path | None = None) -> None:
        self._svg = svg
        if svg is not None:
            # Not interactive: of what is shown while it goes on, only the end is kept.
            self.out = self.err = Console(
                record=True, force_terminal=True, force_interactive=False, width=110
            )
        else:
            self.out = Console(width=None if sys.stdout.isatty() else _PIPED, soft_wrap=True)
            self.err = Console(stderr=True)

    @property
    def is_picture(self) -> bool:
        """Whether what is shown becomes a picture."""
        return self._svg is not None

    def close(self, title: str) -> None:
        """Write the picture, if one is wanted."""
        if self._svg is not None:
            self.out.save_svg(str(self._svg), title=title)

    def say(self, text: str) -> None:
        """Words for people, on stderr."""
        self.err.print(escape(text), highlight=False)

    def warn(self, text: str) -> None:
        """Words about what went wrong, on stderr."""
        self.err.print(f"[bold red]Error:[/] {escape(text)}", highlight=False, soft_wrap=True)

    # --- results ---

    def value(self, value: Mapping[str, Any], form: Form) -> None:
        """One result: a line for each of its values, an object, or a row with a header."""
        if form == "json":
            self._write(json.dumps(plain(value), ensure_ascii=False) + "\n")
        elif form == "csv":
            self.rows([value], list(value), "csv")
        else:
            table = Table(show_header=False, box=None, pad_edge=False)
            for name, each in value.items():
                table.add_row(Text(name, style="bold"), _cell(each))
            self.out.print(table)

    def rows(
        self, rows: Iterable[Row], columns: Sequence[str], form: Form, title: str | None = None
    ) -> None:
        """Rows as a table, an array of objects, or CSV; the last two are written as rows come."""
        if form == "json":
            self._json(rows)
            return
        if form == "csv":
            self._csv(rows, columns)
            return
        rows = list(rows)
        shown = [name for name in columns if any(row.get(name) is not None for row in rows)]
        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
        for name in shown or columns:
            numbers = any(isinstance(row.get(name), int | float | Decimal) for row in rows)
            table.add_column(name, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(name)) for name in shown))
        self.out.print(table)

    def code(self, text: str) -> None:
        """Python, with colours where a terminal shows them."""
        if self.out.is_terminal:
            from rich.syntax import Syntax

            self.out.print(Syntax(text, "python", background_color="default"))
        else:
            self._write(text)

    def _json(self, rows: Iterable[Row]) -> None:
        count = 0
        for count, row in enumerate(rows, 1):
            lead = "[" if count == 1 else ","
            self._write(f"{lead}\n{json.dumps(plain(row), ensure_ascii=False)}")
        self._write("\n]\n" if count else "[]\n")

    def _csv(self, rows: Iterable[Row], columns: Sequence[str]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = plain(row)
            writer.writerow(
                [
                    json.dumps(each) if isinstance(each, dict | list) else each
                    for each in (values.get(name) for name in columns)
                ]
            )

    def _write(self, text: str) -> None:
        if self._svg is not None:
            self.out.print(escape(text), end="", highlight=False)
        else:
            sys.stdout.write(text)

    # --- progress ---

    @contextmanager
    def progress(self, *, hidden: bool = False) -> Iterator[Gauge]:
        """A line that tells how far something has got, on a terminal; nothing else shows it."""
        with Progress(
            SpinnerColumn(),
            TextColumn(
                "{task.description}", table_column=Column(overflow="ellipsis", no_wrap=True)
            ),
            BarColumn(bar_width=16),
            *(
                column(table_column=Column(no_wrap=True))
                for column in (_Done, _Speed, partial(TimeRemainingColumn, compact=True))
            ),
            console=self.err,
            disable=hidden or not self.err.is_terminal,
            transient=not self.is_picture,
        ) as progress:
            yield Gauge(progress)


class Gauge:
    """One thing after the other, each counted in a unit of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._what = ""

    def __call__(
        self, what: str, done: int, total: int | None = None, *, unit: str | None = "rows"
    ) -> None:
        """Show that so much of it is done; another `what` ends the one before.

        `unit` is a plural such as `rows`, or `bytes`; None for what has no speed.
        """
        if self._task is None or what != self._what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=total, unit=unit)
            self._what = what
        self._progress.update(self._task, completed=done, total=total)


class _Done(ProgressColumn):
    """How much is done, of how much."""

    _bytes = DownloadColumn()

    def render(self, task: Task) -> Text:
        if task.fields["unit"] == "bytes":
            if task.total is not None:
                return self._bytes.render(task)
            return Text(f"{task.completed / 1e6:,.1f} MB", style="progress.download")
        total = f" of {task.total:,.0f}" if task.total is not None else ""
        return Text(f"{task.completed:,.0f}{total}", style="progress.download")


class _Speed(ProgressColumn):
    """How much of the unit in a second."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        speed = task.speed or (task.completed / task.elapsed if task.elapsed else 0)
        if not speed or unit is None:
            return Text("")
        if unit == "bytes":
            text = f"{speed / 1e6:,.1f} MB/s"
        else:
            text = f"{speed:,.{0 if speed >= 10 else 1}f} {unit}/s"
        return Text(text, style="progress.data.speed")


def plain(value: Any) -> Any:
    """The same as JSON values: times in RFC 3339, sums of money as numbers."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return float(value) if isinstance(value, Decimal) else value


def _cell(value: Any) -> Text:
    """A cell as people read it; users' own texts are only text."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00"))
    if isinstance(value, float | Decimal):
        number = float(value)
        return Text(f"{number:,.4g}" if abs(number) < 1 else f"{number:,.2f}")
    if isinstance(value, int):
        return Text(f"{value:,}")
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return Text("".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text))
