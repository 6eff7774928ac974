"""For servers that refuse to run as root: another user, and folders that this user may enter."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def account() -> dict[str, Any]:
    """What `subprocess` is told so that a process does not run as root: the user nobody, where we are root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A new folder of that user's, removed afterwards.

    The folder for temporary files may itself lie where others may not enter, as below root's home.
    """
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp")
    place = next(place for place in places if runs("test", "-x", place))
    created = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        lend(created)
        yield created
    finally:
        shutil.rmtree(created, ignore_errors=True)


def lend(path: Path) -> None:
    """Make that user the owner of a folder and of everything in it."""
    if who := account():
        subprocess.run(["chown", "-R", f"{who['user']}:{who['group']}", path], check=True)


def runs(*command: str | Path) -> bool:
    """Whether a command succeeds as that user."""
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, check=False, **account())
    except PermissionError:
        return False
    return done.returncode == 0
