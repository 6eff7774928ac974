"""What is an extra stays one: adapters load neither the command line, nor the page, nor the emulator and its plugin."""

import subprocess
import sys

import pytest

FACE = ("vectorshift_cli", "vectorshift_emulator", "vl_convert", "typer", "pytest")
WALK = """
import pkgutil, sys
from importlib import import_module
package = import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    import_module(module.name)
print(*sys.modules)
"""
WITHOUT = """
import sys
import pytest
for name in ("duckdb", "pyarrow", "starlette", "uvicorn", "xlsxwriter"):
    sys.modules[name] = None
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[1]]))
"""
TESTS = """
def test_plain():
    pass

def test_with_the_emulator(vectorshift_emulator):
    pass
"""


@pytest.mark.parametrize(
    "package",
    [
        pytest.param("airflow_provider_vectorshift", marks=pytest.mark.airflow),
        pytest.param("dagster_vectorshift", marks=pytest.mark.dagster),
    ],
)
def test_an_adapter_loads_no_face(package, tmp_path):
    """Every module of an adapter is imported, and with them nothing that only people or tests need."""
    done = subprocess.run(
        [sys.executable, "-c", WALK, package],
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert package in loaded
    assert not set(FACE) & {name.partition(".")[0] for name in loaded}
    assert not [name for name in loaded if name.startswith("vectorshift_orchestration.report")]


def test_the_pytest_plugin_without_its_extra(tmp_path):
    """Tests that do not use the emulator run without its packages; one that does fails with what to install."""
    file = tmp_path / "test_mine.py"
    file.write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "pip install 'vectorshift-orchestration[emulator]'" in done.stdout
