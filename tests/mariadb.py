"""A real MariaDB server for the tests, on a free loopback port, and the three drivers that people have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from tests import unprivileged
from tests.locked_environment import ROOT, locked_python
from tests.processes import free_port

HINT = "Install MariaDB: on Debian, apt-get install mariadb-server-core mariadb-client-core."


@contextmanager
def server() -> Iterator[int]:
    """The port of a fresh server, which lets root in without a password; stopped and removed afterwards."""
    with unprivileged.folder("vectorshift-mariadb-") as folder:
        account, data = unprivileged.account(), folder / "data"
        # A server that starts removes all temporary tables of the folder that it has them in.
        own = os.environ | {"TMPDIR": str(folder)}
        options = {"cwd": folder, "env": own, "stdout": subprocess.DEVNULL, **account}
        subprocess.run(
            [
                *(_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ],
            check=True,
            **options,
        )
        port = free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(_program("mariadbd"), "--no-defaults", f"--datadir={data}"),
                    *(f"--socket={folder / 'socket'}", f"--port={port}", "--local-infile=1"),
                    *("--bind-address=127.0.0.1", "--skip-name-resolve"),
                    *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"),
                ],
                **options | {"stdout": log, "stderr": log},
            )
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    by_pymysql(port).close()
                except pymysql.OperationalError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise RuntimeError((folder / "log").read_text()) from None
                    time.sleep(0.05)
                else:
                    break
            yield port
        finally:
            process.terminate()
            process.wait(30)


def by_pymysql(port: int, **options: Any) -> Any:
    return pymysql.connect(host="127.0.0.1", port=port, user="root", **options)


def by_connector(port: int, **options: Any) -> Any:
    from mysql.connector import connect

    return connect(host="127.0.0.1", port=port, user="root", **options)


def by_mysqlclient(port: int, **options: Any) -> Any:
    """Airflow's usual driver, out of an environment of its own because it has to be compiled."""
    if "MySQLdb" not in sys.modules:
        python = locked_python(ROOT / "requirements" / "mysqlclient.txt")
        asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
        sys.path.append(subprocess.check_output(asked, text=True).strip())
    import MySQLdb  # type: ignore[import-not-found]  # it is in another environment

    return MySQLdb.connect(host="127.0.0.1", port=port, user="root", **options)


DRIVERS: dict[str, Callable[..., Any]] = {
    "pymysql": by_pymysql,
    "mysql-connector": by_connector,
    "mysqlclient": by_mysqlclient,
}


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        raise RuntimeError(HINT)
    return found
