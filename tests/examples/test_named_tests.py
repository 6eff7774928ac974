"""The comparisons with other integrations: every claim names a test of ours that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADING = "\n## Beside other "
CLAIM = re.compile(r"\| (?!\|)\S")
NAMED = re.compile(r"`([\w./]+\.py)::(\w+)`")


@pytest.mark.parametrize("name", ["airflow", "dagster"])
def test_every_claim_names_a_test(name):
    """Each row names at least one test, and each named test is there."""
    section = (ROOT / "docs" / f"{name}.md").read_text().partition(HEADING)[2]
    rows = [line for line in section.splitlines() if CLAIM.match(line)]
    assert len(rows) > 15
    for row in rows:
        named = NAMED.findall(row)
        assert named, row
        for file, test in named:
            assert test in _tests(ROOT / "tests" / name / file), f"{file}::{test}"


def _tests(file):
    return {node.name for node in ast.parse(file.read_text()).body if hasattr(node, "name")}
