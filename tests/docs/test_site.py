"""The site that `make docs` builds: no warning, no dead link, nothing from outside, and readable by all."""

import shutil
import subprocess
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_core_python.base import AXE_SCRIPT

from tests.browser import browsing
from tests.pages import DOCS, ROOT, pages

pytestmark = pytest.mark.slow

SHOWN = ["index.html", "how-to/slack.html", "reference/airflow-provider.html", "comparison.html"]
LOOKS = [("light", 1300), ("dark", 1300), ("light", 390), ("dark", 390)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site, and what its build said."""
    site = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        ["make", "docs", f"SITE={site}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return site, done.stdout + done.stderr


class Read(HTMLParser):
    """The ids of a page, and where it leads to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links |= {found[name] for name in ("href", "src") if found.get(name)}


def test_the_build_says_nothing(built):
    """No warning, of links as little as of docstrings; each page is there."""
    site, said = built
    assert "No issues found" in said
    assert "griffe" not in said
    assert "arning" not in said
    for page in pages():
        if DOCS in page.parents:
            assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_every_link_of_the_site_leads_somewhere(built):
    """Files and ids, those of the generated reference too; of the outside nothing is loaded."""
    site, _ = built
    found = {path: Read(path.read_text()) for path in site.rglob("*.html")}
    dead = set()
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if not target.exists() or (
                fragment and target in found and fragment not in found[target].ids
            ):
                dead.add((str(path.relative_to(site)), link))
    assert dead == set()


def test_a_dead_link_fails_the_build(tmp_path, built):
    """The strict build ends in an error for a heading that is not there."""
    for name in ("zensical.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "docs").mkdir()
    text = (tmp_path / "zensical.toml").read_text()
    start, end = text.index("nav = ["), text.index("[project.theme]")
    (tmp_path / "zensical.toml").write_text(text[:start] + text[end:])
    (tmp_path / "docs" / "index.md").write_text("# Here\n\n[there](#nowhere)\n")
    program = ROOT / ".tools" / "docs" / "bin" / "zensical"
    done = subprocess.run(
        [program, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "anchor does not exist" in done.stdout + done.stderr


class Quiet(SimpleHTTPRequestHandler):
    """Requests are not printed."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(built):
    """Where the site is served."""
    handler = partial(Quiet, directory=str(built[0]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_in_a_browser(address, tmp_path):
    """Light and dark, on a desk and a phone: no message, no request to the outside, nothing wider than the screen."""
    with browsing(Path(tmp_path)) as page:
        page.watch()
        for name in SHOWN:
            for scheme, width in LOOKS:
                page.shown(width=width, scheme=scheme)
                page.open(f"{address}/{name}")
                assert page.value("document.documentElement.scrollWidth") <= width, name
        page.value(AXE_SCRIPT)
        result = page.value(
            "axe.run(document.querySelector('article')).then(r => r.violations.map(v => v.id))"
        )
        for event in page.events:
            assert event["method"] not in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")
            if event["method"] == "Log.entryAdded":
                raise AssertionError(event["params"])
            if event["method"] == "Network.requestWillBeSent":
                asked = event["params"]["request"]["url"]
                assert asked.startswith((address, "data:", "blob:", "about:")), asked
    assert result == []
