"""The comparisons with other integrations: every claim names a test of ours that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADINGS = {
    "airflow": "\n## Beside other providers\n",
    "dagster": "\n## Beside other Dagster integrations\n",
}
CLAIM = re.compile(r"\| (?!\|)\S")
NAMED = re.compile(r"`([\w./]+\.py)::(\w+)`")


@pytest.mark.parametrize("name", HEADINGS)
def test_every_claim_names_a_test(name):
    """Each row names at least one test, and each named test is there."""
    text = (ROOT / "docs" / "comparison.md").read_text()
    section = text.partition(HEADINGS[name])[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if CLAIM.match(line)]
    assert len(rows) > 15
    for row in rows:
        named = NAMED.findall(row)
        assert named, row
        for file, test in named:
            assert test in _tests(ROOT / "tests" / name / file), f"{file}::{test}"


def test_every_reading_of_the_service_names_a_test():
    """Each row of docs/services.md ends in tests, and what it names is there."""
    files = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    existing = set().union(*(_tests(path) for path in files.values())) | set(files)
    rows = [
        line
        for line in (ROOT / "docs" / "services.md").read_text().splitlines()
        if CLAIM.match(line) and not line.startswith(("| What may", "|---"))
    ]
    assert len(rows) > 20
    for row in rows:
        cell = row.rstrip(" |").rpartition("|")[2]
        named = re.findall(r"test_\w+(?:\.py)?", cell)
        assert named or cell.strip() == "the same", row
        assert set(named) <= existing, row


def _tests(file):
    return {node.name for node in ast.parse(file.read_text()).body if hasattr(node, "name")}
