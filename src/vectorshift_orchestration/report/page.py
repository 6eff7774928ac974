"""The page around the sections: one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader

from vectorshift_orchestration.report.sections import Section
from vectorshift_orchestration.windows import Window


def render(title: str, window: Window, sections: Sequence[Section], now: datetime) -> str:
    """The file's text."""
    environment = Environment(
        loader=PackageLoader("vectorshift_orchestration.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": _shown}
    template = environment.get_template("page.html.jinja")
    return template.render(title=title, window=window, sections=sections, now=now)


def _shown(value: Any) -> str:
    """A cell's value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
