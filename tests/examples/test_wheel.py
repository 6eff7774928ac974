"""What `pip install` would bring: the built wheel has every file, and Airflow and Dagster find it by its entry points."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
INFO = """
import sys
import airflow_provider_vectorshift.provider_info as found
from importlib import import_module
assert found.__file__.startswith(sys.argv[1]), found.__file__
info = found.get_provider_info()
names = [connection["hook-class-name"] for connection in info["connection-types"]] + info["extra-links"]
for path in names:
    module, name = path.rsplit(".", 1)
    getattr(import_module(module), name)
for kind in ("operators", "sensors", "hooks", "triggers"):
    for each in info[kind]:
        for module in each["python-modules"]:
            print(import_module(module).__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_every_file_is_in_it(wheel):
    """All modules and type markers of the six packages, and nothing else beside the metadata."""
    packed = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    source = {
        path.relative_to(ROOT / "src")
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path for path in packed if not path.parts[0].endswith(".dist-info")} == source
    assert len([path for path in source if path.name == "py.typed"]) == 6


def test_the_provider_is_found_in_it(wheel):
    """The entry point that Airflow reads leads into the wheel, and so does all that the provider names."""
    (metadata,) = wheel.glob("*.dist-info")
    points = ConfigParser()
    points.read(metadata / "entry_points.txt")
    assert points["apache_airflow_provider"]["provider_info"] == (
        "airflow_provider_vectorshift.provider_info:get_provider_info"
    )
    assert points["dagster_dg_cli.registry_modules"]["dagster_vectorshift"] == "dagster_vectorshift"
    done = subprocess.run(
        [sys.executable, "-c", INFO, str(wheel)],
        env={"PYTHONPATH": str(wheel), "AIRFLOW_HOME": str(wheel / "home"), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = [line for line in done.stdout.splitlines() if line.endswith(".py")]
    assert len(loaded) == 10
    assert all(line.startswith(str(wheel)) for line in loaded)
