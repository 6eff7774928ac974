"""Documents that name a test name one that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w./]+\.py)::(\w+)`")


@pytest.mark.parametrize(
    ("document", "folder"), [("airflow.md", "airflow"), ("dagster.md", "dagster")]
)
def test_named_tests_exist(document, folder):
    """Each `file.py::test` of the comparison with others is a test of ours."""
    named = NAMED.findall((ROOT / "docs" / document).read_text())
    assert len(named) > 15
    missing = [f"{file}::{name}" for file, name in named if name not in _tests(folder, file)]
    assert not missing


def _tests(folder, file):
    path = ROOT / "tests" / folder / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
