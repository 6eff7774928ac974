"""Processes in sessions of their own, so that a session's every process is found and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Component:
    """One component of Airflow: a command in a session of its own, its output in a file.

    Args:
        name: what it is called, also in the name of its log.
        command: the command.
        log: file that its output is added to.
        env: its environment.
        cwd: its working folder.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may have run and ended before."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
            )

    def members(self) -> list[int]:
        """Its processes, the ones that it started included, whatever group they moved to."""
        if self.process is None:
            return []
        return [pid for pid, _, session in processes() if session == self.process.pid]

    def memory(self) -> int:
        """MiB that its processes hold, of what they share with others their part."""
        return sum(_share(pid) for pid in self.members()) >> 10

    def kill(self) -> None:
        """SIGKILL all of it at once, as a container's end does, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._gone(10)

    def terminate(self) -> None:
        """SIGTERM all of it."""
        self._signal(signal.SIGTERM)

    def end(self, patience: float = 5.0) -> None:
        """Wait until it is gone; SIGKILL what is there after that."""
        if not self._gone(patience):
            self.kill()

    def tail(self) -> str:
        """The end of its log."""
        return tail(self.log) if self.log.exists() else "(no log)"

    def _signal(self, number: int) -> None:
        for pid in self.members():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.members():
            if self.process is not None:
                self.process.poll()  # reaps it, or it would stay a zombie of the session
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def tail(path: Path, lines: int = 30, width: int = 300) -> str:
    """The last lines of a log, the long ones cut."""
    ends = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(line[:width] for line in ends)


def processes() -> list[tuple[int, int, int]]:
    """Every process as (id, parent's id, session)."""
    result = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # it ended
            continue
        state, parent, _, session = stat.rpartition(")")[2].split()[:4]
        if state != "Z" or int(session) == int(entry.name):
            result.append((int(entry.name), int(parent), int(session)))
    return result


def _share(pid: int) -> int:
    """A process's proportional share of memory in KiB, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def parent_of(pid: int) -> int:
    """The process that started a process. Raises LookupError when there is no such process."""
    for result, parent, _ in processes():
        if result == pid:
            return parent
    raise LookupError(f"no process {pid}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
