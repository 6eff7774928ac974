"""An environment beside our own is built once, whole or not at all."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.locked_environment import LockedEnvironmentError, locked_python


def test_parallel_workers_share_one_build(tmp_path):
    """Workers that need the environment at the same time get the same one, and no build is left."""
    lock, cache = tmp_path / "lock.txt", tmp_path / "cache"
    lock.write_text("# nothing to install\n")
    with ThreadPoolExecutor(3) as pool:
        pythons = list(pool.map(lambda _: locked_python(lock, cache), range(3)))
    assert len(set(pythons)) == 1
    assert subprocess.run([pythons[0], "-c", ""], check=True).returncode == 0
    assert sorted(path.name for path in cache.iterdir()) == sorted(
        [pythons[0].parents[1].name, "lock.lock"]
    )


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path):
    """A lock that cannot be installed is an error with the installer's words, not half a build."""
    lock, cache = tmp_path / "lock.txt", tmp_path / "cache"
    lock.write_text(f"{tmp_path}/missing-1.0-py3-none-any.whl --hash=sha256:{'0' * 64}\n")
    with pytest.raises(LockedEnvironmentError, match=r"missing-1\.0"):
        locked_python(lock, cache)
    assert [path.name for path in cache.iterdir()] == ["lock.lock"]


def test_it_is_the_pinned_official_client(official):
    """What the other tests compare with is vectorshift 0.1.15, alone in its environment."""
    code = "import importlib.metadata as m; print(m.version('vectorshift'))"
    reported = subprocess.run([official, "-c", code], check=True, capture_output=True, text=True)
    assert reported.stdout.strip() == "0.1.15"
