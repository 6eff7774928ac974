"""`emulator`: the service on this machine, in a process of its own."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import typer

from vectorshift_orchestration.errors import SpecError

_NEEDED = ("duckdb", "pyarrow", "starlette", "uvicorn", "xlsxwriter")


def emulator(context: typer.Context) -> None:
    """The service on this machine, for trying and testing, until Ctrl-C.

    Takes the options of python -m vectorshift_emulator, such as --port 8123 --events 10000; its first
    line says the address and the key.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SpecError(
            f"The emulator needs {missing[0]}: pip install 'vectorshift-orchestration[emulator]'."
        )
    # This process becomes the emulator, so that signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", "vectorshift_emulator", *context.args])
