"""What we take of Dagster is public, and what we give has one signature for Python and for YAML."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import dagster_vectorshift
from dagster_vectorshift import (
    ExportOptions,
    HealthOptions,
    VectorShiftExportComponent,
    VectorShiftHealthComponent,
    build_export_asset,
    build_health_assets,
)

SOURCES = sorted(Path(dagster_vectorshift.__file__).parent.rglob("*.py"))


def imported(source):
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_nothing_deep_of_dagster_is_imported():
    """Every module takes Dagster's names from `dagster` itself; modules inside of it may change any day."""
    taken = {name for each in SOURCES for name in imported(each) if name.startswith("dagster")}
    assert {name for name in taken if not name.startswith("dagster_vectorshift")} == {"dagster"}


@pytest.mark.parametrize(
    ("options", "factory", "component"),
    [
        (ExportOptions, build_export_asset, VectorShiftExportComponent),
        (HealthOptions, build_health_assets, VectorShiftHealthComponent),
    ],
)
def test_an_option_has_one_default(options, factory, component):
    """The factory's arguments are the fields of the options, and the component has them with the same defaults."""
    written = {each.name: each.default for each in fields(options)}
    assert list(inspect.signature(factory).parameters) == list(
        inspect.signature(options).parameters
    )
    inherited = {each.name: each.default for each in fields(component) if each.name in written}
    assert inherited == written
