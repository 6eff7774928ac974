"""The emulator as a command, as an import and as a file that outlives it."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from vectorshift_emulator import Control, serve

COMMAND = [sys.executable, "-m", "vectorshift_emulator"]


def test_command():
    """The first line says where it listens; SIGTERM ends it, requests that hang and all."""
    command = [*COMMAND, "--port", "0", "--events", "50", "--api-key", "sk_mine", "--keys", "snake"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = json.loads(process.stdout.readline())
        assert output["base_url"].startswith("http://127.0.0.1:")
        assert output["base_url"].endswith("/v1")
        control = Control(output["control_url"], output["control_token"])
        assert control.truth("SELECT count(*) AS n FROM events") == [{"n": 50}]
        control.fault("event", "hang")
        request = urllib.request.Request(
            f"{output['base_url']}/analytics/events/x",
            headers={"Authorization": f"Bearer {output['api_key']}"},
        )
        assert output["api_key"] == "sk_mine"
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(request, timeout=0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_command_that_cannot_start():
    """A bad option is one line on stderr and status 2."""
    ended = subprocess.run(
        [*COMMAND, "--events", "-1"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "events" in ended.stderr


def test_import_is_cheap():
    """Importing the package or its pytest plugin loads none of the heavy modules."""
    code = (
        "import sys, vectorshift_emulator, vectorshift_emulator.pytest_plugin\n"
        "heavy = {'duckdb', 'starlette', 'uvicorn', 'pyarrow', 'httpx', 'vectorshift', 'asyncio'}\n"
        "print(sorted(heavy & (sys.modules.keys() - before)))"
    )
    script = f"import pytest, sys\nbefore = set(sys.modules)\n{code}"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


def test_a_missing_package_names_the_extra(monkeypatch):
    """Without what the extra brings, the emulator says what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    for name in [each for each in sys.modules if each.startswith("vectorshift_emulator.")]:
        monkeypatch.delitem(sys.modules, name)
    with (
        pytest.raises(ModuleNotFoundError, match=r"needs duckdb: pip install .*\[emulator\]"),
        serve(events=0),
    ):
        pass


def test_database_file_keeps_the_events(tmp_path):
    """A database that has events is served as it is, not filled again."""
    path = tmp_path / "events.duckdb"
    with serve(events=20, database=path) as emulator:
        emulator.insert([{"span_id": "mine"}])
    with serve(events=500, database=path) as emulator:
        assert emulator.truth("SELECT count(*) AS n FROM events") == [{"n": 21}]


def test_a_taken_port_is_an_error(emulator):
    """A port that somebody listens on raises at once."""
    port = int(emulator.base_url.rpartition(":")[2].removesuffix("/v1"))
    with pytest.raises(OSError, match="ddress"), serve(events=0, port=port):
        pass
