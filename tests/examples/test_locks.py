"""What is installed from a lock is what was locked: each line has its hashes, and names no index."""

import re
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement

from tests.built import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def requirements(lock):
    """Each requirement of a lock, with the hashes that follow it."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            written, *hashes = re.split(r"\s+--hash=", line)
            yield Requirement(written), hashes


@pytest.mark.parametrize("lock", LOCKS, ids=[lock.stem for lock in LOCKS])
def test_each_line_is_one_version_with_hashes(lock):
    """No line of a lock lets an installer choose: one exact version, by SHA-256, from whatever index it has."""
    needed = list(requirements(lock))
    assert needed
    for requirement, hashes in needed:
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", each) for each in hashes), requirement
    names = [requirement.name for requirement, _ in needed]
    assert names == sorted(names)


def test_each_lock_is_made_by_make_lock():
    """No lock is left out when they are made again."""
    made = set(re.findall(r"-o requirements/(\w+)\.txt", (ROOT / "Makefile").read_text()))
    assert made == {lock.stem for lock in LOCKS}


def test_what_runs_is_what_is_locked():
    """The packages around this test have the versions of their lock."""
    wrong = {}
    for requirement, _ in requirements(ROOT / "requirements" / "dev.txt"):
        if requirement.marker is None or requirement.marker.evaluate():
            try:
                found = version(requirement.name)
            except PackageNotFoundError:
                found = "missing"
            if not requirement.specifier.contains(found, prereleases=True):
                wrong[requirement.name] = found
    assert wrong == {}
