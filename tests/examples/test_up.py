"""`make up`, whatever ran before: what it promises is seen in Airflow and in Dagster."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import axe_core_python
import dagster as dg
import duckdb
import pytest

from tests.airflow_live.rest import Rest
from tests.browser import browsing
from tests.dagster.live import Dev, until
from tests.processes import free_port, processes, tail

AXE = Path(axe_core_python.__file__).with_name("axe.min.js")
EXAMPLES = Path(__file__).parents[2] / "dags_examples"
DAGS = {"error_count_watch", "error_rate_hourly", "nightly_export", "pipeline_health"}
SCHEDULES = {
    "daily_pipeline_health_schedule",
    "daily_run_health_schedule",
    "pipeline_events_schedule",
}
SENSORS = {"check_alerts", "pipeline_runs_error_count"}
DAGSTER = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  schedules { name scheduleState { status } } sensors { name sensorState { status } } } } }
  assetNodes { assetKey { path } partitionStats { numMaterialized numPartitions } } }"""
ASSETS = {
    "pipeline_health",
    "model_health",
    "error_sources",
    "run_health",
    "error_messages",
}
DYING = """
import os, signal, sys
import dagster as dg
import stack

@dg.asset(pool="files")
def dying():
    os.kill(os.getpid(), signal.SIGKILL)

with stack.home(), dg.DagsterInstance.from_config(str(stack.HOME / "dagster")) as instance:
    dg.materialize([dying], instance=instance)
"""
ENTERING = "import stack\nwith stack.home(): print('entered')"
TWICE = """
import stack

with stack.home():
    try:
        with stack.home():
            pass
    except stack.StepFailed as refusal:
        print(refusal)
"""


@pytest.fixture
def home(tmp_path):
    """The folder of the examples; what their processes said is shown where a test fails."""
    yield tmp_path / "home"
    for log in sorted((tmp_path / "home" / "logs").glob("*.log")):
        sys.stdout.write(f"--- {log.name}\n{tail(log)}\n")


@contextmanager
def running(script, home, *arguments, **environment):
    """A script of the examples, ended with KILL together with all that it started, if it still runs."""
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / script, *arguments],
        env=os.environ | {"VECTORSHIFT_EXAMPLES_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        groups = [pid for pid, parent, _ in processes() if parent == process.pid]
        process.kill()
        for pid in groups:
            os.killpg(pid, signal.SIGKILL)
        process.communicate()


def python(code, home, **environment):
    """Run code beside the examples."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"VECTORSHIFT_EXAMPLES_HOME": str(home), "PYTHONPATH": str(EXAMPLES)}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def in_airflow(home, statement):
    """Rows of the database of Airflow; none before it is there."""
    path = home / "airflow" / "airflow.db"
    where = f"{path.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(where, timeout=60, uri=True)) as database, database:
            return database.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []


@pytest.mark.airflow
@pytest.mark.dagster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_is_at_work_after_a_demo_that_was_killed(home):
    """What is promised is there when `up` says so, though DAGs were paused and processes left; Ctrl-C ends it."""
    with running("demo.py", home, "--events", "2000"):
        until(lambda: in_airflow(home, "SELECT 1 FROM dag_run"))
    in_airflow(home, "UPDATE dag SET is_paused = 1")
    assert in_airflow(home, "SELECT DISTINCT is_paused FROM dag") == [(1,)]
    names = ("START", "EMULATOR", "AIRFLOW", "DAGSTER")
    ports = {f"VECTORSHIFT_{name}_PORT": str(free_port()) for name in names}
    with running("up.py", home, "--events", "2000", **ports) as up:
        said = "".join(iter(up.stdout.readline, "Ctrl-C stops everything.\n"))
        assert "Ready after" in said, said
        for milestone in (
            *("Emulator is up", "Airflow is up at", "Dagster is up at", "alert from Airflow"),
            *(f"{name} has a green run" for name in DAGS),
            "The health page is made",
        ):
            assert re.search(rf"^ *\d+ s  {milestone}", said, re.M), said
        assert all(f"http://127.0.0.1:{port}/ " in said for port in ports.values()), said
        with closing(Rest(f"http://127.0.0.1:{ports['VECTORSHIFT_AIRFLOW_PORT']}")) as airflow:
            airflow.sign_in()
            found = airflow.ask("GET", "/dags")["dags"]
            assert {each["dag_id"]: each["is_paused"] for each in found} == dict.fromkeys(
                DAGS, False
            )
            for name in DAGS:
                assert "success" in {run["state"] for run in airflow.runs(name)}, name
            kinds = {run["run_type"] for run in airflow.runs("nightly_export")}
            assert kinds == {"manual", "scheduled"}
        dagster = Dev(home / "dagster", ports["VECTORSHIFT_DAGSTER_PORT"])
        told = dagster.ask(DAGSTER)
        (node,) = told["repositoriesOrError"]["nodes"]
        for kind, names in (("schedule", SCHEDULES), ("sensor", SENSORS)):
            states = {each["name"]: each[f"{kind}State"]["status"] for each in node[f"{kind}s"]}
            assert states == dict.fromkeys(names, "RUNNING")
        counts = {
            each["assetKey"]["path"][0]: each["partitionStats"] for each in told["assetNodes"]
        }
        assert {name: counts[name]["numMaterialized"] for name in ASSETS} == dict.fromkeys(
            ASSETS, 30
        )
        assert counts["pipeline_events"]["numMaterialized"] == 3
        with urlopen(f"http://127.0.0.1:{ports['VECTORSHIFT_START_PORT']}/state") as reply:
            state = json.load(reply)
        assert {step["state"] for step in state["steps"]} == {"done"}
        assert all(place["up"] for place in state["places"].values())
        titles = {(each["from"], each["title"].partition(" of ")[0]) for each in state["alerts"]}
        assert {
            ("Airflow", "error_count_watch: ERROR"),
            ("Dagster", "ERROR: error_count"),
        } <= titles
        for place in ("health", "emulator"):
            asked = Request(state["places"][place]["url"], headers={"Accept": "text/html"})
            with urlopen(asked) as reply:
                assert reply.read().startswith(b"<!doctype html>")
        up.send_signal(signal.SIGINT)
        assert up.wait(120) == 0


@pytest.mark.dagster
def test_a_run_that_died_holds_no_pool(home):
    """The next command cancels what was killed with the last, and others may enter the pool."""
    assert python(DYING, home).returncode == -signal.SIGKILL
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        assert instance.event_log_storage.get_concurrency_info("files").active_slot_count == 1
        assert python(ENTERING, home).stdout == "entered\n"
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
        assert instance.event_log_storage.get_concurrency_info("files").active_slot_count == 0


@pytest.mark.dagster
def test_one_command_at_a_time(home):
    """While a command is at work in a folder another one is refused, in words."""
    said = python(TWICE, home).stdout
    assert said.startswith("Another `make demo` or `make up` is at work in")


def test_an_airflow_of_the_users_own_is_left_alone(home):
    """What the shell says of another Airflow, its database above all, is not what the examples use."""
    code = (
        "import stack, types\n(stack.HOME / 'logs').mkdir(parents=True)\n"
        "service = types.SimpleNamespace(base_url='http://service', api_key='sk')\n"
        "for pair in stack.environment(service, '2026-01-01').items(): print(*pair)"
    )
    own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////own.db", "AIRFLOW_HOME": "/own"}
    said = python(code, home, **own)
    assert "/own" not in said.stdout, said.stdout
    assert f"AIRFLOW_HOME {home / 'airflow'}\n" in said.stdout, said.stderr


def test_what_a_killed_command_left_is_ended(home):
    """Processes that outlived their command hold ports and files: the next one ends them, and nobody else's."""
    code = (
        "import os, stack\n"
        "with stack.home():\n"
        "    with stack.started(['sleep', '600'], stack.HOME / 'logs' / 'sleep.log', os.environ) as left:\n"
        "        print(left.pid, flush=True)\n"
        "        os._exit(1)"
    )
    left = int(python(code, home).stdout)
    os.kill(left, 0)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        with (home / ".started").open("a") as file:
            file.write(f"{other.pid} 1.0\n")  # the number of a process that is long gone
        assert python(ENTERING, home).stdout == "ended sleep, left by an earlier command\nentered\n"
        with pytest.raises(ProcessLookupError):
            os.kill(left, 0)
        assert other.poll() is None
        other.kill()


def test_databases_of_other_versions_are_set_aside(home):
    """What another version wrote is kept beside, not opened; what the same versions wrote is gone on with."""
    assert python(ENTERING, home).stdout == "entered\n"
    (home / "airflow" / "airflow.db").write_text("older")
    assert python(ENTERING, home).stdout == "entered\n"
    (home / ".versions").write_text("dagster 0.1\n")
    assert python(ENTERING, home).stdout.startswith(f"set aside in {home}/before-")
    (kept,) = home.glob("before-*/airflow/airflow.db")
    assert kept.read_text() == "older"
    assert not (home / "airflow" / "airflow.db").exists()


@pytest.mark.parametrize("name", ["events.duckdb", "dagster/history/runs.db"])
def test_a_broken_database_is_set_aside(home, name):
    """A file that cannot be opened does not stop the next command."""
    assert python(ENTERING, home).stdout == "entered\n"
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text("not a database, but as long as the header of one would be" * 100)
    assert python(ENTERING, home).stdout.startswith(f"set aside in {home}/before-")
    assert [path.name for path in home.glob("before-*/**/*") if path.is_file()]
    assert python(ENTERING, home).stdout == "entered\n"


def test_a_table_that_is_open_elsewhere_is_named(home):
    """A program that has a table file open is not waited for: the file is named."""
    assert python(ENTERING, home).stdout == "entered\n"
    with duckdb.connect(str(home / "events.duckdb")):
        said = python(ENTERING, home)
    assert f"{home / 'events.duckdb'} is open in another program" in said.stderr


def test_ports(home):
    """The usual port, another one where that is taken, and words where the port that somebody named is."""
    code = "import stack\nprint(stack.free_port('A_PORT', {port}))"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert 0 < int(python(code.format(port=port), home).stdout) != port
        assert (
            f"A_PORT={port} is taken" in python(code.format(port=0), home, A_PORT=str(port)).stderr
        )
    assert python(code.format(port=port), home).stdout == f"{port}\n"
    assert "A_PORT=http is not a port" in python(code.format(port=0), home, A_PORT="http").stderr


@contextmanager
def start_page(home):
    """The address of a start page that has a step and a place to show."""
    home.mkdir()
    code = (
        "import sys, pathlib, board, start_page\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "place = board.Place('Airflow', 'No login.', 'Four DAGs.', 'http://127.0.0.1:1/', True)\n"
        "made = board.Board(home / 'alerts.jsonl', {'airflow': place}, {'a': 'A step'})\n"
        "page = start_page.StartPage(0, made, home / 'health.html')\n"
        "print(page.url, flush=True)\n"
        "page.serve_forever()"
    )
    command = [sys.executable, "-c", code, home]
    env = os.environ | {"PYTHONPATH": str(EXAMPLES)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as serving:
        try:
            yield serving.stdout.readline().strip()
        finally:
            serving.kill()


def ask(url, body=None, **headers):
    """Status and bytes of a reply; with a body, of a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers)) as reply:
            return reply.status, reply.read()
    except HTTPError as refused:
        return refused.code, refused.read()


AIRFLOWS = {"text": "error_count_watch: ERROR", "blocks": [{"text": {"text": "<b>150</b>"}}]}
DAGSTERS = {"title": "ERROR: x", "reason": "y"}


def test_alerts_come_from_orchestrators_only(home):
    """The start page takes an alert as Airflow's Slack notifier and Dagster's example post it, and none from a web page."""
    with start_page(home) as url:
        assert ask(f"{url}/alerts/airflow", AIRFLOWS)[0] == 200
        assert ask(f"{url}/alerts/dagster", DAGSTERS)[0] == 200
        assert ask(f"{url}/alerts/airflow", AIRFLOWS, Origin="http://evil.example")[0] == 404
        assert ask(f"{url}/state", Host="evil.example")[0] == 403
        told = json.loads(ask(f"{url}/state")[1])["alerts"]
        assert [(each["from"], each["text"]) for each in told] == [
            ("Dagster", "y"),
            ("Airflow", "<b>150</b>"),
        ]
        assert b"VectorShift on your desk" in ask(f"{url}/")[1]
        for name in ("style.css", "dom.js", "start.js", "start.css"):
            assert ask(f"{url}/{name}")[0] == 200
        assert ask(f"{url}/../stack.py")[0] == ask(f"{url}/health.html")[0] == 404


@pytest.mark.slow
def test_start_page_in_a_browser(home, tmp_path):
    """No message, no request beside its own, no barrier that axe finds; an alert shows without a reload, as text."""
    with start_page(home) as url, browsing(tmp_path / "profile") as page:
        page.watch()
        page.open(f"{url}/")
        page.wait_for("document.querySelector('#places a')")
        ask(f"{url}/alerts/airflow", AIRFLOWS)
        page.wait_for("document.querySelector('#alerts')?.textContent.includes('<b>150</b>')")
        assert page.value("document.querySelector('#places a').href") == "http://127.0.0.1:1/"
        page.value(AXE.read_text() + "; 0")
        for width, scheme in ((1300, "light"), (1300, "dark"), (360, "light"), (360, "dark")):
            page.shown(width=width, scheme=scheme)
            found = page.value("axe.run().then(result => result.violations.map(each => each.id))")
            assert found == [], (width, scheme)
            assert page.value("document.documentElement.scrollWidth") <= width
    methods = {event["method"] for event in page.events}
    assert not {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"} & methods
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [each for each in asked if not each.startswith((url, "data:"))] == []
