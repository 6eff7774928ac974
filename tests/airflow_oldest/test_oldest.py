"""The provider on the oldest Airflow that it supports: its own tests, run there."""

import os
import re
import subprocess
from importlib.metadata import distribution

import pytest

from tests.locked_environment import ROOT, locked_python

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

FILES = (
    "aggregate",
    "definition",
    "error_count_sensor",
    "error_count_trigger",
    "export_files",
    "export_outcomes",
    "export_sensor",
    "export_tables",
    "hook",
    "landing",
    "provider_info",
    "threshold",
    "trigger",
)
AT_LEAST = 330


@pytest.fixture
def metadata(tmp_path):
    """A folder that holds what installing our distribution would tell Airflow: its entry points."""
    ours = distribution("vectorshift-orchestration")
    folder = tmp_path / f"vectorshift_orchestration-{ours.version}.dist-info"
    folder.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (folder / name).write_text(ours.read_text(name))
    return tmp_path


@pytest.mark.timeout(1200)
def test_our_tests_pass_on_the_oldest_airflow(metadata):
    """What needs no later Airflow works on 3.1: every such test passes there, and none is skipped."""
    python = locked_python(ROOT / "requirements" / "airflow31.txt")
    files = [f"tests/airflow/test_{name}.py" for name in FILES]
    chosen = ["-m", "not slow and not airflow33", *files]
    # Airflow 3.1 warns of its own and its libraries' old names.
    plain = ["-q", "-W", "default", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(
        [python, "-m", "pytest", *plain, *chosen],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{metadata}"},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = re.search(r"^(\d+) passed, \d+ deselected.* in ", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert summary is not None, done.stdout[-2_000:]
    assert int(summary[1]) >= AT_LEAST


def test_it_is_the_oldest():
    """The environment holds Airflow 3.1, the lower bound that our distribution states."""
    python = locked_python(ROOT / "requirements" / "airflow31.txt")
    code = "import importlib.metadata as m; print(m.version('apache-airflow'))"
    reported = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    written = str(distribution("vectorshift-orchestration").requires)
    (bound,) = set(re.findall(r"apache-airflow<4,>=([\d.]+)", written))
    assert reported.stdout.startswith(f"{bound}.")
