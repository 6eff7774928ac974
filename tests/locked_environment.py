"""Environments beside our own: each built once from a hashed lock, then kept.

One holds the official client, whose import name is ours, so it only ever runs as a subprocess. One holds ClickHouse,
with which the emulator is compared. Others hold what users may have beside us: older Airflows, the lowest versions of
all that we depend on, and the newest.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
UV = ROOT / ".tools" / "bin" / "uv"


class LockedEnvironmentError(RuntimeError):
    """The environment could not be built; says which command failed and what it printed."""


def locked_python(lock: Path, cache: Path = CACHE, interpreter: str = sys.executable) -> Path:
    """The interpreter that has what the lock lists, after building its environment if needed.

    A finished environment appears by one rename, so a killed build leaves nothing that a later
    run could take for complete. Parallel test workers wait for one build on a file lock.

    Args:
        lock: the hashed requirements; the directory's name follows their content.
        cache: where the environment is kept between runs.
        interpreter: the Python that the environment is made with.

    Returns:
        Path of the environment's `python`.

    Raises:
        LockedEnvironmentError: when the environment or its packages cannot be installed.
    """
    home = cache / f"{lock.stem}-{_fingerprint(lock, interpreter)}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    cache.mkdir(parents=True, exist_ok=True)
    with _exclusive(cache / f"{lock.stem}.lock"):
        if not python.exists():
            _build(home, lock, interpreter)
    return python


def interpreter_of(version: str) -> str | None:
    """The Python of a version ("3.13") on this machine, where there is one: on the path, or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    path = os.pathsep.join([os.environ["PATH"], *map(str, pyenv.glob(f"{version}.*/bin"))])
    found = subprocess.run(
        [UV, "python", "find", "--no-config", "--no-python-downloads", "--system", version],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else None


def _fingerprint(lock: Path, interpreter: str) -> str:
    """Names the environment by what decides its content: the lock and the Python."""
    return hashlib.sha256(os.path.realpath(interpreter).encode() + lock.read_bytes()).hexdigest()[
        :16
    ]


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released with the handle, also when the process dies
        yield


def _build(home: Path, lock: Path, interpreter: str) -> None:
    shutil.rmtree(home, ignore_errors=True)  # an environment whose Python was taken away
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{lock.stem}-build-") as scratch:
        building = Path(scratch) / "environment"
        for command in _commands(building, lock, interpreter):
            _run(command)
        building.rename(home)


def _commands(home: Path, lock: Path, interpreter: str) -> list[list[str]]:
    python = str(home / "bin" / "python")
    hashed = ["--require-hashes", "-r", str(lock)]
    if UV.exists():
        uv = str(UV)
        return [
            [
                uv,
                "venv",
                "--no-config",
                "--quiet",
                "--relocatable",
                "--python",
                interpreter,
                str(home),
            ],
            [uv, "pip", "install", "--no-config", "--quiet", "--python", python, *hashed],
        ]
    return [
        [interpreter, "-m", "venv", str(home)],
        [python, "-m", "pip", "install", "--quiet", "--no-deps", *hashed],
    ]


def _run(command: list[str]) -> None:
    # Our own environment must not reach into the new one.
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(command, env=inherited, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LockedEnvironmentError(
            f"building an environment from its lock failed ({done.returncode}): "
            f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        )
