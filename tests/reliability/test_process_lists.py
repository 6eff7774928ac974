"""Key, password and signed address of a command at work are in no process list and in no file below its folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.days import LAST_MIDNIGHT
from tests.postgres import server
from tests.processes import processes
from tests.reliability.test_tracebacks import KEY, PASSWORD, SECRET
from vectorshift import Client
from vectorshift_emulator import serve
from vectorshift_orchestration._failpoints import VARIABLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLANTED = "pl_planted_on_purpose"
"""An object whose runs are exported: its id is an argument, and in each row."""


@pytest.fixture(scope="module")
def account():
    """An account whose key is a canary, with runs of the one object."""
    with serve(events=100, days=2, end=LAST_MIDNIGHT, api_key=KEY) as made:
        made.settings(export_mode="async", export_delay=0)
        # More than twice what a download writes at a time.
        made.burst(6_000, at=LAST_MIDNIGHT - timedelta(hours=2), object_id=PLANTED)
        yield made


@pytest.fixture
def service(account):
    """The account, whose faults end with the test."""
    yield account
    account.clear_faults()


@pytest.fixture(scope="module")
def database():
    """A URL with a password, which the server does not ask for."""
    with server() as made:
        yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{made.port}/postgres"


@contextmanager
def started(folder, *command, **environment):
    """A process in a session of its own, whose every file lies below a folder."""
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder / "work",
            env={
                **os.environ,
                **{"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")},
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def export(folder, service, database, **environment):
    """The command that exports a day into a file and a table."""
    day = LAST_MIDNIGHT - timedelta(days=1)
    return started(
        folder,
        *("-m", "vectorshift_cli", "export", "--day", f"{day:%F}", "--object-id", PLANTED),
        *("--destination", "events.csv", "--table", "events", "--postgres", "DATABASE"),
        VECTORSHIFT_API_KEY=KEY,
        VECTORSHIFT_BASE_URL=service.base_url,
        DATABASE=database,
        **environment,
    )


def searched(process, folder):
    """The command lines of its processes, as anybody sees them, and the names and contents of all files."""
    found = {
        "process list": "\n".join(
            Path(f"/proc/{pid}/cmdline").read_text()
            for pid, _, session in processes()
            if session == process.pid
        )
    }
    for file in folder.rglob("*"):
        if file.is_file():
            name = str(file.relative_to(folder))
            found[name] = name + file.read_bytes().decode(errors="replace")
    return found


def having(text, found):
    """The first folder, or the name, of each place that has a text."""
    return {name.partition("/")[0] for name, held in found.items() if text in held}


def hits(found):
    """The places that have a secret."""
    return {name for name, held in found.items() if SECRET.search(held)}


@pytest.mark.parametrize(
    ("place", "has_rows"),
    [
        ("export.asked", set()),
        ("publish.flushed", {"temporary", "work"}),
        ("sql.loading", {"temporary"}),
        ("sql.committed", {"temporary", "work"}),
    ],
)
def test_stopped_at_a_place(service, database, tmp_path, place, has_rows):
    """What is planted on purpose is found in the process list and where rows lie; of the secrets there is none."""
    with export(tmp_path, service, database, **{VARIABLE: f"{place}=SIGSTOP"}) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), (tmp_path / "output").read_text()
        found = searched(process, tmp_path)
        assert having(PLANTED, found) == {"process list"} | has_rows
        assert having('"task_id"', found) == {"home"}
        assert hits(found) == set()
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait() == 0, (tmp_path / "output").read_text()
        assert hits(searched(process, tmp_path)) == set()


def test_in_the_middle_of_a_download(service, database, tmp_path):
    """The part of the file that is there is none of the address that it comes from."""
    service.fault("download", "hang", fraction=0.5)
    with export(tmp_path, service, database) as process:
        while "temporary" not in having(PLANTED, found := searched(process, tmp_path)):
            assert process.poll() is None, (tmp_path / "output").read_text()
            time.sleep(0.02)
        assert "process list" in having(PLANTED, found)
        assert hits(found) == set()


@pytest.mark.parametrize("route", ["export_create", "download"])
def test_what_an_error_leaves(service, database, tmp_path, route):
    """Denied, the command says so, and neither says nor leaves a secret."""
    service.fault(route, "status", times=0, code=403)
    with export(tmp_path, service, database) as process:
        assert process.wait() in (3, 4), (tmp_path / "output").read_text()
        found = searched(process, tmp_path)
        assert "403" in found["output"]
        assert hits(found) == set()


def test_the_search_finds_what_is_there(service, tmp_path):
    """Controls: a key among arguments, a password in a file, and a signed address in the name of one."""
    with Client(KEY, service.base_url) as client:
        url = client.query().export_and_wait("CSV", "events.csv")["download_url"]
    with started(tmp_path, "-c", "import time; time.sleep(600)", KEY) as process:
        (tmp_path / "temporary" / "options").write_text(PASSWORD)
        (tmp_path / "work" / url.rpartition("/")[2]).touch()
        found = searched(process, tmp_path)
        assert {name.partition("/")[0] for name in hits(found)} == {
            *("process list", "temporary", "work")
        }
