"""Charts as static SVG, drawn by Vega; their colours are CSS variables, so that a page's theme holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_WIDTH, _HEIGHT = 640, 180
_INK, _GRID = "var(--ink)", "var(--grid)"
_COLOURS = [f"var(--series-{number})" for number in range(1, 6)]
_CONFIG = {
    "aria": False,  # the page names the chart, and has its figures in a table
    "background": None,
    "font": "system-ui, sans-serif",
    "padding": {"left": 16, "right": 16, "top": 5, "bottom": 5},
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "gridColor": _GRID,
        "domainColor": _GRID,
        "tickColor": _GRID,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": _INK,
        "orient": "top",
        "title": None,
        "symbolType": "stroke",
        "symbolStrokeWidth": 3,
    },
    "range": {"category": _COLOURS},
}
_TIMES = {"date": "%b %d", "day": "%b %d", "hours": "%H:%M", "minutes": "%H:%M"}
"""Labels of a time axis where Vega's own would be weekdays and a clock of twelve hours."""


def lines(
    times: Sequence[datetime],
    series: Mapping[str, Sequence[float | None]],
    *,
    axis: str,
    share: bool = False,
) -> str:
    """A line for each series over UTC times, broken where a figure is missing; `share` is in percent."""
    dashes = [[1, 0], [5, 3], [2, 2], [8, 3, 2, 3], [1, 3]]
    values = [
        {"at": at.isoformat(), "figure": figure, "series": name}
        for name, figures in series.items()
        for at, figure in zip(times, figures, strict=True)
    ]
    of_series = {"field": "series", "sort": list(series)}
    legend = {} if len(series) > 1 else {"legend": None}
    return _svg(
        {
            "data": {"values": values},
            "mark": {"type": "line", "strokeWidth": 1.5, "point": len(times) == 1},
            "encoding": {
                "x": {
                    "field": "at",
                    "type": "temporal",
                    "scale": {"type": "utc"},
                    "axis": {
                        "title": None,
                        "grid": False,
                        "labelOverlap": True,
                        "format": _TIMES,
                    },
                },
                "y": {
                    "field": "figure",
                    "type": "quantitative",
                    "axis": {"title": axis, "format": "~%" if share else "~s", "tickCount": 5},
                },
                "color": {**of_series, "type": "nominal", **legend},
                # Dashes distinguish them as well, for readers who do not see the colours.
                "strokeDash": {
                    **of_series,
                    "type": "nominal",
                    "legend": None,
                    "scale": {"range": dashes},
                },
            },
        }
    )


def bars(figures: Mapping[str, float], *, axis: str) -> str:
    """A bar for each name, in the given order."""
    return _svg(
        {
            "height": max(40, 24 * len(figures)),
            "data": {
                "values": [{"name": name, "figure": value} for name, value in figures.items()]
            },
            "mark": {"type": "bar", "color": _COLOURS[0]},
            "encoding": {
                "y": {
                    "field": "name",
                    "type": "nominal",
                    "sort": list(figures),
                    "axis": {"title": None, "labelLimit": 220},
                },
                "x": {
                    "field": "figure",
                    "type": "quantitative",
                    "axis": {"title": axis, "format": "~s", "tickCount": 5},
                },
            },
        }
    )


def _svg(chart: dict[str, Any]) -> str:
    import vl_convert

    schema = "https://vega.github.io/schema/vega-lite/v5.json"
    shared = {"$schema": schema, "width": _WIDTH, "height": _HEIGHT, "config": _CONFIG}
    drawn: str = vl_convert.vegalite_to_svg(shared | chart)
    return drawn
