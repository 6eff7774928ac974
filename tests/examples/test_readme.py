"""The README's code blocks run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vectorshift_emulator import serve

ROOT = Path(__file__).parents[2]
_BLOCKS = re.findall(
    r"^## (.+?)\n.*?^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a user: the emulator's address and key, and an Airflow home of its own."""
    with serve(events=2_000, days=3) as service:
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path_factory.mktemp("home")),
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "VECTORSHIFT_API_KEY": service.api_key,
            "VECTORSHIFT_BASE_URL": service.base_url,
        }


def test_every_section_with_code_is_found():
    """The pattern that reads the README sees its four code blocks."""
    assert [title for title, _ in _BLOCKS] == ["Airflow", "Dagster", "The SDK", "The emulator"]


@pytest.mark.parametrize(("title", "code"), _BLOCKS, ids=[title for title, _ in _BLOCKS])
def test_block_runs(title, code, environment, tmp_path):
    """A code block of the README runs to its end in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_commands_exist():
    """Every `make` command that the README names is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text())) <= targets
