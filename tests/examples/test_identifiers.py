"""Names in the code are the field's: a short list of private words does not come back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"

FOLDERS = [
    *("airflow_provider_vectorshift", "dagster_vectorshift", "vectorshift", "vectorshift_cli"),
    *("vectorshift_emulator", "vectorshift_orchestration"),
]

PRIVATE = {
    "asked": "requested, request or query",
    "found": "result, match or rows",
    "given": "arguments or values",
    "known": "state, choices or names",
    "looks": "polls",
    "said": "message",
    "stated": "document or declared",
    "told": "reported, message or metadata",
    "wanted": "expected or selected",
}
"""Each word, and what to write instead."""

STORED = {
    "airflow_provider_vectorshift/operators/export.py": "asked",  # in tasks that wait
    "dagster_vectorshift/exports/_assets.py": "asked",
    "vectorshift_orchestration/exports/fetch.py": "asked",
    "vectorshift_orchestration/exports/notes.py": "asked",
    "vectorshift_orchestration/exports/state.py": "asked",
}
"""A field of `ExportState`, as records and waiting tasks of earlier versions hold it."""


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that code defines or uses, without underscores around it, and its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name.strip("_"), node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name.strip("_"), node.lineno
            case ast.ClassDef(name=name):
                yield name.strip("_").lower(), node.lineno
            case ast.keyword(arg=str(name)):
                yield name.strip("_"), node.value.lineno


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_private_word_is_a_name(folder):
    """A name such as `told` says neither what a value is nor what it is for."""
    problems = [
        f"{file}:{line}: {name}; write {PRIVATE[name]}"
        for path in sorted((SOURCES / folder).rglob("*.py"))
        for file in [path.relative_to(SOURCES).as_posix()]
        for name, line in identifiers(ast.parse(path.read_text("utf-8")))
        if name in PRIVATE and STORED.get(file) != name
    ]
    assert not problems, "\n".join(problems)
