"""The front page in a real browser: it moves by itself, what is done on it counts, and everybody can read it."""

from pathlib import Path

import axe_core_python
import pytest

from tests.browser import browsing
from tests.days import MIDNIGHT
from tests.emulator.wire import Client
from vectorshift_emulator import serve

pytestmark = pytest.mark.slow
AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
AWKWARD = '<img src=x onerror="document.title=1">.csv'
TOLD = "axe.run().then(result => result.violations.map(each => each.id + ': ' + each.nodes.map(node => node.target.join(' ')).join(', ')))"


def test_page_in_a_browser(tmp_path):
    """No message, no request beside the emulator's, no barrier that axe finds; it shows what came after it was opened."""
    with (
        serve(events=2_000, days=10, end=MIDNIGHT, export_delay=60) as service,
        browsing(tmp_path / "profile") as page,
    ):
        origin = service.base_url.removesuffix("/v1")
        page.watch()
        page.open(f"{origin}/")
        page.wait_for("document.querySelectorAll('#switches label').length > 30")
        assert page.value("document.querySelectorAll('#bars > div').length") == 10

        client = Client(service.base_url, service.api_key)
        client.ask("/events/count", {})
        page.wait_for("document.querySelector('#requests')?.textContent.includes('/events/count')")
        first = "document.querySelector('#requests tr')"
        page.value(f"window.kept = {first}; 0")
        requested = {"data_table": {}, "extension": "CSV", "file_name": AWKWARD}
        client.ask("/exports", requested)
        page.wait_for("document.querySelector('#exports')?.textContent.includes('pending')")
        assert page.value("document.querySelector('#exports tr span:not(:empty)') !== null")
        assert (
            page.value("[...document.querySelectorAll('#exports td')][0].firstChild.textContent")
            == AWKWARD
        )
        assert page.value("window.kept === document.querySelectorAll('#requests tr')[1]")

        page.value("document.querySelector('#kind').value = 'delay'; 0")
        page.value("document.querySelector('#kind').dispatchEvent(new Event('change'))")
        page.value("document.querySelector('[data-name=seconds]').value = '0.5'; 0")
        page.value("document.querySelector('#fault-form').requestSubmit()")
        page.wait_for("document.querySelector('#faults')?.textContent.includes('seconds 0.5')")
        (fault,) = service.faults()
        assert (fault["kind"], fault["route"], fault["seconds"]) == ("delay", "*", 0.5)
        page.value("document.querySelector('#burst-form').requestSubmit()")
        page.wait_for("document.querySelector('#tiles').textContent.includes('2,030')")
        page.value("document.querySelector('[data-name=zone]').value = 'Europe/Berlin'; 0")
        page.value(
            "document.querySelector('[data-name=zone]').dispatchEvent(new Event('change', {bubbles: true}))"
        )
        page.wait_for("document.querySelector('#switches .changed')")
        assert service.settings()["zone"] == "Europe/Berlin"

        page.value(AXE.read_text() + "; 0")
        page.value("document.querySelectorAll('details').forEach(each => each.open = true)")
        for width, scheme in ((1300, "light"), (1300, "dark"), (360, "light"), (360, "dark")):
            page.shown(width=width, scheme=scheme)
            assert page.value(TOLD) == [], (width, scheme)
            assert page.value("document.documentElement.scrollWidth") <= width
    urls = {
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in urls if not url.startswith((origin, "data:"))} == set()
    noisy = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
    assert [event for event in page.events if event["method"] in noisy] == []
