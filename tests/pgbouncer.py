"""A real PgBouncer for the tests, in front of a PostgreSQL server and on a free loopback port."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import unprivileged
from tests.processes import free_port

SETTINGS = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
ignore_startup_parameters = extra_float_digits,options
"""
"""As most are run: a session lends a server's for one transaction, and each gets another in turn."""


@contextmanager
def pooler(conninfo: str) -> Iterator[str]:
    """A connection string that leads to any database of a server, through a pool in transaction mode.

    PgBouncer refuses to run as root, so there it runs as another user.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        raise RuntimeError("Install PgBouncer: on Debian, apt-get install pgbouncer.")
    server = {
        name: value
        for name, value in conninfo_to_dict(conninfo).items()
        if name in ("host", "port", "user", "password")
    }
    port = free_port()
    with unprivileged.folder("vectorshift-pgbouncer-") as folder:
        settings = folder / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(server=make_conninfo("", **server), port=port))
        unprivileged.lend(folder)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, settings], cwd=folder, stdout=log, stderr=log, **unprivileged.account()
            )
        try:
            arguments = make_conninfo(conninfo, host="127.0.0.1", port=port, options="")
            deadline = time.monotonic() + 30
            while True:
                try:
                    psycopg.connect(arguments).close()
                except psycopg.OperationalError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise RuntimeError((folder / "log").read_text()) from None
                    time.sleep(0.02)
                else:
                    break
            yield arguments
        finally:
            process.terminate()
            process.wait(30)
