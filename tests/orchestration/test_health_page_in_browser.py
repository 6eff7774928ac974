"""The health page in a real browser: silent, self-contained, readable by everybody, in both themes, on a phone, in print."""

from datetime import timedelta
from pathlib import Path

import axe_core_python
import duckdb
import pytest

from tests.browser import browsing
from tests.days import MIDNIGHT
from vectorshift import Client
from vectorshift_emulator import serve
from vectorshift_orchestration.health import ErrorTable, HealthTable, cut, measure
from vectorshift_orchestration.report import health_page
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.windows import Window

pytestmark = pytest.mark.slow
AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
TABLES = (
    HealthTable(
        "by_hour",
        metrics=["runs.sum", "errors.sum", "latency.p50", "latency.p95"],
        group_by=[],
        interval="hour",
    ),
    HealthTable("by_pipeline"),
    HealthTable("by_model", metrics=["tokens.sum", "model_costs.sum"], group_by=["model_id"]),
    ErrorTable(),
)


@pytest.fixture(scope="module")
def text():
    """The page of ten days that really came from the service, one of them not written."""
    days = [Window.day((MIDNIGHT - back * timedelta(days=1)).date()) for back in range(10, 0, -1)]
    with (
        serve(events=4_000, days=10, end=MIDNIGHT) as service,
        Client(api_key=service.api_key, base_url=service.base_url) as client,
        duckdb.connect() as connection,
    ):
        measured = measure(client.query(), days, TABLES, [])
        for table in TABLES:
            for day, rows in cut(measured.tables[table.name], days[:4] + days[5:]).items():
                batches = rows.to_batches()
                overwrite_window(
                    connection,
                    table.table_name,
                    day,
                    batches,
                    schema=rows.schema,
                    time_column="bucket_start",
                )
        span = Window(days[0].start, days[-1].end)
        return health_page(connection, [table.table_name for table in TABLES], span)


def test_page_in_a_browser(text, tmp_path):
    """No message, no request but for the file, no barrier that axe finds, and nothing wider than the page."""
    file = tmp_path / "health.html"
    file.write_text(text)
    with browsing(tmp_path / "profile") as page:
        page.watch()
        page.open(file.as_uri())
        for width, scheme, medium in (
            (1300, "light", "screen"),
            (1300, "dark", "screen"),
            (360, "light", "screen"),
            (360, "dark", "screen"),
            (800, "light", "print"),
        ):
            page.shown(width=width, scheme=scheme, medium=medium)
            page.value(AXE.read_text() + "; 0")
            result = page.value(
                "axe.run().then(result => result.violations.map(each => each.id + ': '"
                " + each.nodes.map(node => node.target.join(' ')).join(', ')))"
            )
            assert result == [], (width, scheme, medium)
            assert page.value("document.documentElement.scrollWidth") <= width
        assert page.value("document.querySelectorAll('svg').length") == 5
        methods = [event["method"] for event in page.events]
        requested = [
            event["params"]["request"]["url"]
            for event in page.events
            if event["method"] == "Network.requestWillBeSent"
        ]
    assert requested == [file.as_uri()]
    assert not {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"} & set(
        methods
    )
