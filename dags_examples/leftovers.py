"""What an earlier `make demo` or `make up` left in its folder: processes that outlived it, databases that are of no use."""

import os
import signal
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import duckdb
import psutil

TABLES = ("events.duckdb", "health.duckdb")
DATABASES = ("airflow", "dagster", "alerts.jsonl", *TABLES)
_PATIENCE = 5.0


class InUse(RuntimeError):
    """A file that another program has open; the text says which."""


def note(home: Path, pid: int) -> None:
    """Note a process that was started, the leader of a session of its own, until it is ended."""
    with suppress(psutil.NoSuchProcess), (home / ".started").open("a") as file:
        file.write(f"{pid} {psutil.Process(pid).create_time()}\n")


def end_processes(home: Path) -> list[str]:
    """End what is left of the noted sessions, whose command was killed; the names of their leaders."""
    path = home / ".started"
    noted = dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}
    ended = []
    for pid, created in noted.items():
        if members := _session(int(pid), float(created)):
            ended.append(members[0].name())
            for number in (signal.SIGTERM, signal.SIGKILL):
                for each in members:
                    with suppress(psutil.NoSuchProcess):
                        each.send_signal(number)
                psutil.wait_procs(members, timeout=_PATIENCE)
                members = [each for each in members if each.is_running()]
    path.unlink(missing_ok=True)
    return ended


def _session(pid: int, created: float) -> list[psutil.Process]:
    """The processes of a session; none if its number belongs to a younger process by now."""
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(pid).create_time() != created:
            return []
    members = []
    for each in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(each.pid) == pid and each.status() != psutil.STATUS_ZOMBIE:
                members.append(each)
    return members


def of_other_versions(home: Path) -> Path | None:
    """Set databases aside that other versions of the packages wrote, and note the present ones."""
    names = ("vectorshift-orchestration", "apache-airflow", "dagster", "duckdb")
    present = "".join(f"{name} {version(name)}\n" for name in names)
    stamp = home / ".versions"
    if stamp.exists() and stamp.read_text() == present:
        return None
    path = set_aside(home, *DATABASES)
    stamp.write_text(present)
    return path


def unreadable_tables(home: Path) -> list[Path]:
    """Set table files aside that DuckDB does not open. Raises `InUse` for one that somebody has open."""
    aside = []
    for name in TABLES:
        if not (home / name).exists():
            continue
        try:
            duckdb.connect(str(home / name)).close()
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise InUse(f"{home / name} is open in another program: close it there.") from None
            aside.append(set_aside(home, name))
    return [path for path in aside if path is not None]


def set_aside(home: Path, *names: str) -> Path | None:
    """Move what there is of these into a folder of its own, named by the moment; None if there is nothing."""
    there = [
        path
        for name in names
        for path in (home / name, home / f"{name}.wal")
        if path.exists() and not (path.is_dir() and not any(path.iterdir()))
    ]
    if not there:
        return None
    folder = home / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(exist_ok=True)
    for path in there:
        path.rename(folder / path.name)
    return folder
