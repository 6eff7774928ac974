"""Packages whose names load when they are first used: what a checker sees is what there is, and no more is loaded."""

import ast
import importlib
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest

PACKAGES = [
    "airflow_provider_vectorshift.operators",
    "airflow_provider_vectorshift.sensors",
    "airflow_provider_vectorshift.triggers",
    "dagster_vectorshift",
    "dagster_vectorshift.components",
    "dagster_vectorshift.storage",
    "vectorshift_orchestration",
    "vectorshift_orchestration.exports",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_checker_sees_the_names_that_load(name):
    """Each name that a type checker reads is in `__all__`, `dir()` and `import *`, and is the object that its module has."""
    package = importlib.import_module(name)
    source = ast.parse(Path(package.__file__).read_text())
    [typed] = [each for each in source.body if isinstance(each, ast.If)]
    homes = {alias.name: each.module for each in typed.body for alias in each.names}
    everything = {}
    exec(f"from {name} import *", everything)
    del everything["__builtins__"]
    assert sorted(homes) == package.__all__ == dir(package) == sorted(everything)
    for each, home in homes.items():
        assert getattr(package, each) is getattr(importlib.import_module(home), each)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nope'"):
        attrgetter("nope")(package)


@pytest.mark.parametrize(
    ("statement", "others"),
    [
        (
            "from airflow_provider_vectorshift.operators import VectorShiftExportOperator",
            "airflow_provider_vectorshift.operators.threshold",
        ),
        ("from dagster_vectorshift import DuckDBStorage", "dagster_vectorshift.health"),
        (
            "from dagster_vectorshift import build_health_definitions",
            "dagster_vectorshift.components",
        ),
    ],
)
def test_a_name_loads_its_own_module_only(statement, others):
    """Whoever takes one name does not wait for the modules of the others."""
    code = f"import sys\n{statement}\nassert {others!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
