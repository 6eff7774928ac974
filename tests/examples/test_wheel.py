"""What `pip install` would bring: the built wheel has every file, and Airflow and Dagster find it by its entry points."""

import hashlib
import os
import shutil
import subprocess
import sys
from configparser import ConfigParser

import pytest

from tests.built import ROOT, built, unpacked

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
    return unpacked(built(tmp_path_factory.mktemp("wheel")))


def test_every_file_is_in_it(wheel):
    """All modules and type markers of the six packages, the metadata with the notice, and nothing else."""
    packed = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    source = {
        path.relative_to(ROOT / "src")
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (metadata,) = wheel.glob("*.dist-info")
    about = {path.relative_to(wheel) for path in metadata.rglob("*") if path.is_file()}
    assert packed - about == source
    assert {str(path.relative_to(metadata.name)) for path in about} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/NOTICE"),
    }
    assert (metadata / "licenses" / "NOTICE").read_bytes() == (ROOT / "NOTICE").read_bytes()
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


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_two_builds_are_one_file(tmp_path, kind):
    """The same commit gives the same bytes elsewhere: in another folder, on another day, as a user whose files are private."""
    digests = set()
    for name, mode, day in (("one", 0o644, 1_700_000_000), ("two", 0o600, 1_750_000_000)):
        copy = tmp_path / name
        kept = shutil.ignore_patterns(".*", "__pycache__", "site", "dist")
        shutil.copytree(ROOT, copy, ignore=kept)
        for path in copy.rglob("*"):
            if path.is_file():
                path.chmod(mode)
            os.utime(path, (day, day))
        archive = built(tmp_path / f"{name}-{kind}", kind, copy, SOURCE_DATE_EPOCH="1700000000")
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(digests) == 1
