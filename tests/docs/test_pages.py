"""The pages as text: short enough to be read, linked to what exists, each block of a kind that a test runs."""

import re
import tomllib
from datetime import date
from urllib.parse import urlsplit

import pytest

from tests.pages import DOCS, OWN_TESTS, ROOT, anchors, blocks_of, pages, prose

PAGES = pages()
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
MOST_WORDS = 1_500

KINDS = {
    "python": {
        "tests/docs/test_python.py",
        "tests/airflow/test_docs.py",
        "tests/dagster/test_docs.py",
    },
    "sh": {
        "tests/docs/test_commands.py",
        "tests/airflow/test_docs.py",
        "tests/cli/test_docs.py",
        "tests/dagster/test_docs.py",
    },
    "json": {"tests/docs/test_commands.py", "tests/official/test_wire_document.py"},
    "yaml": {"tests/airflow/test_docs.py", "tests/cli/test_docs.py", "tests/dagster/test_docs.py"},
    "sql": {"tests/airflow/test_how_to.py"},
    "text": set(),  # a diagram
}
"""The kinds of blocks, and the tests that run them."""


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_a_page_can_be_read_in_one_go(path):
    """No page has more than 1,500 words, code and tables included."""
    assert len(path.read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_every_block_is_of_a_kind_that_is_run(path):
    """Each fence says its kind, and no code stands in an indented block, which nothing would run."""
    assert {block.kind for block in blocks_of(path)} <= KINDS.keys()
    assert not re.search(r"(?:^|\n)\n {4,}(?![-*\d])\S", prose(path))


def test_the_tests_that_run_blocks_are_here():
    """What is said of each kind of block: the test exists, and reads the pages."""
    for test in {*OWN_TESTS.values(), *set().union(*KINDS.values())}:
        assert re.search(r"\bpages\b|\.md\b", (ROOT / test).read_text()), test
    for page, test in OWN_TESTS.items():
        assert page.rpartition("/")[2] in (ROOT / test).read_text()


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(path):
    """A link inside of the repository names a file and a heading of it; one to the outside is https and whole."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]{2,}", parts.netloc), target
            continue
        leads_to = path.parent / parts.path if parts.path else path
        assert leads_to.is_file(), target
        assert not parts.fragment or parts.fragment in anchors(leads_to), target


def test_every_page_of_the_site_is_in_its_navigation():
    """A page that nothing leads to is not read."""
    listed = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert listed == {str(path.relative_to(DOCS)) for path in PAGES if DOCS in path.parents}


def test_the_changelog_has_the_version():
    """The newest release of the changelog, which has a day, is the version that is built."""
    releases = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    (unreleased, _), (newest, day), *_ = releases
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (unreleased, newest) == ("Unreleased", project["version"])
    assert date.fromisoformat(day)
