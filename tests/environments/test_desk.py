"""What docs/dagster.md has users install on their desk is enough for the commands that it gives."""

import os
import subprocess

import pytest

from tests.built import built, unpacked
from tests.dagster.live import started
from tests.locked_environment import ROOT, interpreter_of, locked_python

PYTHON = "3.12"
COMPONENTS = ("VectorShiftHealthComponent", "VectorShiftExportComponent")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.dagster,
    pytest.mark.timeout(900),
]


@pytest.fixture
def desk(tmp_path):
    """The Python with extra `dagster`, dagster-webserver and dagster-dg-cli, and the variables that commands need."""
    interpreter = interpreter_of(PYTHON)
    if interpreter is None:
        pytest.skip(f"there is no Python {PYTHON} on this machine")
    python = locked_python(ROOT / "requirements" / "desk.txt", interpreter=interpreter)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return python, {
        "PYTHONPATH": str(unpacked(built(tmp_path / "wheel"))),
        "VIRTUAL_ENV": str(python.parents[1]),
        "DAGSTER_HOME": str(tmp_path),
        "DG_CLI_CONFIG": str(tmp_path / "none.toml"),
        "VECTORSHIFT_API_KEY": "sk_none",
        "VECTORSHIFT_EXAMPLES_HOME": str(tmp_path),
    }


def test_dagster_dev_serves_the_example(desk, tmp_path):
    """The interface answers, and the definitions are loaded by a Python that has nothing else."""
    python, environment = desk
    example = ROOT / "dags_examples" / "dagster" / "definitions.py"
    with started(tmp_path, example, environment, python=python, kind="-f") as port:
        listed = subprocess.run(
            [
                *(python.parent / "dagster-graphql", "-r", f"http://127.0.0.1:{port}"),
                *("-t", "{ assetNodes { assetKey { path } } }"),
            ],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "'pipeline_health'" in listed.stdout


@pytest.mark.parametrize("component", COMPONENTS)
def test_dg_shows_what_the_keys_of_a_component_are_for(desk, component):
    """`dg` finds the components without being told of them, and shows their schema."""
    python, environment = desk
    shown = subprocess.run(
        [
            *(python.parent / "dg", "utils", "inspect-component"),
            f"dagster_vectorshift.{component}",
        ],
        cwd=environment["DAGSTER_HOME"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Component schema:" in shown.stdout
    assert '"partitions"' in shown.stdout
