"""The health page shows what landed tables hold, what they lack, and nothing that the tables do not say."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.orchestration.conftest import Store
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.report import health_page
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.windows import Window

START = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = [Window(START + number * DAY, START + (number + 1) * DAY) for number in range(4)]
SHOWN = Window(DAYS[2].start, DAYS[3].end)
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Tables(HTMLParser):
    """The cells of each table of a page by its section's heading, and the texts of its captions."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self.captions: list[str] = []
        self._inside = ""
        self._title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self._inside = tag
        if tag == "h2":
            self._title = ""
        if tag == "tr":
            self.rows.setdefault(self._title, []).append([])
        if tag in ("td", "th"):
            self.rows[self._title][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "h2":
            self._title += data
        elif self._inside in ("td", "th"):
            self.rows[self._title][-1][-1] += data
        elif self._inside == "figcaption":
            self.captions.append(data)


def land(store: Store, table: str, window: Window, **columns: list[Any]) -> None:
    """Write rows of a window, whose times are hours after its start."""
    times = [window.start + hours * timedelta(hours=1) for hours in columns.pop("hours")]
    rows = pa.table({"bucket_start": pa.array(times, pa.timestamp("us", "UTC")), **columns})
    overwrite_window(
        store.connection,
        table,
        window,
        rows.to_batches(),
        schema=rows.schema,
        time_column="bucket_start",
    )


@pytest.fixture
def landed(store: Store) -> Store:
    """Four days by pipeline, the third of which nobody wrote by hour, and their messages."""
    for number, day in enumerate(DAYS):
        land(
            store,
            "by_pipeline",
            day,
            hours=[0, 0],
            pipeline_id=["pl_1", "pl_2"],
            runs_sum=[100 + number, 10],
            errors_sum=[number, 5],
            model_costs_sum=[0.25, 0.5],
        )
        if number != 2:
            land(
                store,
                "by_hour",
                day,
                hours=[0, 1, 3],
                runs_sum=[60, 40, 10 + number],
                errors_sum=[1, 1, 3 + number],
                latency_p95=[1000.0, 2000.0, 1500.5],
            )
        land(
            store,
            "messages",
            day,
            hours=[0, 0],
            error_message=["quota <b>exceeded</b> & more", "timeout"],
            events=[number, 9],
        )
    return store


def page(store: Store, *tables: str, window: Window = SHOWN, **options: Any) -> str:
    """The page of a window as of the 25th."""
    return health_page(store.connection, tables, window, now=NOW, **options)


def test_the_figures_are_those_of_the_tables(landed: Store) -> None:
    """Sums over slices and days, rates made of sums, the worst first, and what changed since before."""
    rows = Tables(page(landed, "by_pipeline", "messages")).rows
    assert rows["At a glance"][1:] == [
        ["Runs", "225", "221", "+1.8%"],
        ["Failed runs", "15", "11", "+36.4%"],
        ["Model costs, US dollars", "1.50", "1.50", "+0.0%"],
    ]
    assert rows["Runs and errors"][1:] == [
        ["2026-11-22 00:00", "112", "7", "6.25%"],
        ["2026-11-23 00:00", "113", "8", "7.08%"],
    ]
    assert rows["Pipelines that fail most"][1:] == [
        ["pl_2", "10", "20", "50.00%"],
        ["pl_1", "5", "205", "2.44%"],
    ]
    assert rows["Error messages"][1:] == [
        ["timeout", "18"],
        ["quota <b>exceeded</b> & more", "5"],
    ]
    assert "Latency" not in rows


def test_quiet_hours_are_zero_and_unwritten_ones_unknown(landed: Store) -> None:
    """An hour without a row had no runs if its day was written; of a day that was not, nothing is said."""
    rows = Tables(page(landed, "by_hour")).rows["Runs and errors"][1:]
    assert len(rows) == 48
    assert rows[0] == ["2026-11-22 00:00", "-", "-", "-"]
    assert rows[24] == ["2026-11-23 00:00", "60", "1", "1.67%"]
    assert rows[26] == ["2026-11-23 02:00", "0", "0", "-"]


def test_many_hours_are_shown_as_days(landed: Store) -> None:
    """Over forty days by hour: a row for each day, its sums added, its highest percentile."""
    wide = Window(DAYS[3].end - 50 * DAY, DAYS[3].end)
    rows = Tables(page(landed, "by_hour", window=wide)).rows
    assert rows["Runs and errors"][-1] == ["2026-11-23 00:00", "113", "8", "7.08%"]
    assert rows["Latency"][-1] == ["2026-11-23 00:00", "2,000.00"]
    assert len(rows["Latency"]) == 51


def test_what_is_missing_or_late_is_reported(landed: Store) -> None:
    """Windows that no commit covers up to now, and those that were written long after their end."""
    rows = Tables(page(landed, "by_pipeline", "by_hour", late=timedelta(days=100_000))).rows
    assert "more than 1 day after its end" in page(landed, "by_hour")
    assert "more than 1.5 hours after its end" in page(landed, "by_hour", late=timedelta(hours=1.5))
    by_table = {row[0]: row for row in rows["What is missing or late"]}
    assert by_table["by_pipeline"][1] == "2"
    assert by_table["by_pipeline"][3:] == ["nothing", "nothing"]
    assert by_table["by_hour"][1] == "1"
    assert by_table["by_hour"][3:] == ["2026-11-22", "nothing"]
    late = Tables(page(landed, "by_pipeline", late=-timedelta(days=100_000))).rows
    assert late["What is missing or late"][1][4] == "2026-11-22, 2026-11-23"
    ahead = Tables(page(landed, "by_pipeline", window=Window(DAYS[3].start, NOW + 9 * DAY))).rows
    assert ahead["What is missing or late"][1][3] == "2026-11-24"


def test_users_texts_are_only_texts(landed: Store) -> None:
    """Names and messages with markup stay text, in tables and in charts; the page has no script and no address."""
    land(
        landed,
        "by_pipeline",
        DAYS[3],
        hours=[0],
        pipeline_id=['<script x="">'],
        runs_sum=[3],
        errors_sum=[2],
        model_costs_sum=[0.0],
    )
    text = page(landed, "by_pipeline", "messages")
    assert "<script" not in text
    assert "<b>" not in text
    assert "&lt;script" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert set(re.findall(r"https?://[\w./]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_tables_without_figures_give_a_page_that_says_so(store: Store) -> None:
    """A table whose columns the page knows nothing of shows what the ledger knows, and no chart."""
    land(store, "other", DAYS[3], hours=[0], search_type=["a"], feedback_mean=[1.0])
    reported = Tables(page(store, "other"))
    assert list(reported.rows) == ["What is missing or late"]
    assert reported.captions == []


def test_what_is_not_a_health_table_is_refused(landed: Store) -> None:
    """A table that does not exist, or has no bucket_start, is named with what to do."""
    with pytest.raises(StorageError, match=r"Table nowhere does not exist\. Name tables that"):
        page(landed, "by_pipeline", "nowhere")
    landed.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(StorageError, match="Table people has no column bucket_start"):
        page(landed, "people")


def test_the_example_of_the_docs_writes_a_page(tmp_path: Path) -> None:
    """The block of docs/health-page.md runs as it stands, over a DuckDB file with its two tables."""
    docs = (Path(__file__).parents[2] / "docs" / "health-page.md").read_text()
    block, *_ = re.findall(r"```python\n(.*?)```", docs, re.S)
    database = tmp_path / "health.duckdb"
    with closing(duckdb.connect(str(database))) as connection:
        store = Store("duckdb", connection, connection, connection.cursor)
        columns = {"runs_sum": [7], "errors_sum": [1]}
        land(store, "pipeline_health", DAYS[2], hours=[0], pipeline_id=["pl_1"], **columns)
        costs = {"tokens_sum": [5], "model_costs_sum": [0.5]}
        land(store, "model_health", DAYS[2], hours=[0], model_id=["m"], **costs)
    exec(block.replace("/data/vectorshift", str(tmp_path)), {})
    reported = Tables((tmp_path / "health-2026-11-22.html").read_text()).rows
    assert reported["Pipelines that fail most"][1] == ["pl_1", "1", "7", "14.29%"]
    assert reported["Costs by model"][1] == ["m", "0.50", "5"]


@pytest.mark.parametrize("missing", ["vl_convert", "jinja2"])
def test_a_missing_package_names_the_extra(
    missing: str, landed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what the extra brings, whichever it is, the page says what to install."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "vectorshift_orchestration.report.page", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {missing}: pip install .*\[report\]"):
        page(landed, "by_pipeline")
