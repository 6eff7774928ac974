"""The distribution as it is published: built from this checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]


def built(folder: Path, kind: str = "wheel", source: Path = ROOT, **environment: str) -> Path:
    """Build a `wheel` or an `sdist` of a checkout into a folder.

    Args:
        folder: where the archive is written.
        kind: `wheel` or `sdist`.
        source: the checkout.
        environment: variables of the build, such as SOURCE_DATE_EPOCH.

    Returns:
        Path of the archive.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(
        command, cwd=source, env=os.environ | environment, check=True, capture_output=True
    )
    (archive,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return archive


def unpacked(wheel: Path) -> Path:
    """What a wheel would install, in a folder beside it that can stand on the path."""
    folder = wheel.parent / "installed"
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
