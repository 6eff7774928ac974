"""The example with alerts: its channels against real sinks, and the whole of it in a live instance."""

import email
import json
import os
import queue
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from dagster_vectorshift import Alert
from vectorshift_orchestration.windows import Window

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "dags_examples" / "dagster"
PAGE = (ROOT / "docs" / "dagster-alerts.md").read_text(encoding="utf-8")
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
ALERT = Alert(
    asset="vectorshift/health",
    check="error_rate",
    partition="2026-11-22",
    severity="ERROR",
    evaluated_at=datetime(2026, 11, 23, 2, tzinfo=UTC),
    reason="In 2026-11-22, errors.sum / runs.sum is 30 / 50 = 0.6: past the ERROR limit of 0.2.",
    window=Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)),
    observed=0.6,
    limit=0.2,
    sample=50,
    top_errors=(("quota <exceeded> & @channel", 30),),
)


@contextmanager
def serving(server):
    """The server on a free port of this machine, in a thread, until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Inbox(ThreadingHTTPServer):
    """An HTTP sink: keeps every body with its headers, and answers with `status`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Keep)
        self.received, self.status = queue.Queue(), 200

    @property
    def url(self):
        """Where to post."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class Keep(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((json.loads(body), dict(self.headers)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Mailbox(socketserver.StreamRequestHandler):
    """An SMTP sink: takes one message for each connection."""

    def handle(self):
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.received.put(email.message_from_bytes(b"".join(lines)))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


@pytest.fixture
def inbox():
    """A running HTTP sink."""
    with serving(Inbox()) as server:
        yield server


@pytest.fixture
def example(monkeypatch, tmp_path):
    """The example's module, with no channel set up."""
    for name in ("WEBHOOK_URL", "SLACK_WEBHOOK_URL", "SMTP_URL"):
        monkeypatch.delenv(f"ALERT_{name}", raising=False)
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    spec = spec_from_file_location("alerts_example", EXAMPLES / "alerts.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytestmark = pytest.mark.filterwarnings("ignore:.*backfill_policy.*:")


def test_the_webhook_gets_the_alert_and_its_key(example, inbox, monkeypatch):
    """The body is the alert as JSON; the key by which a repetition is known is a header, too."""
    monkeypatch.setenv("ALERT_WEBHOOK_URL", inbox.url)
    example.notify(ALERT)
    body, headers = inbox.received.get(timeout=5)
    assert body == ALERT.to_dict()
    assert headers["Idempotency-Key"] == ALERT.dedup_key


def test_slack_gets_plain_text(example, inbox, monkeypatch):
    """Slack's message has title, reason and messages, in a block that is not read as markup."""
    monkeypatch.setenv("ALERT_SLACK_WEBHOOK_URL", inbox.url)
    example.notify(ALERT)
    body, _ = inbox.received.get(timeout=5)
    (block,) = body["blocks"]
    assert block["text"]["type"] == "plain_text"
    assert block["text"]["text"].splitlines() == [
        "ERROR: error_rate of vectorshift/health [2026-11-22]",
        ALERT.reason,
        "30 x quota <exceeded> & @channel",
    ]


def test_a_mail_is_sent(example, monkeypatch):
    """The mail has the title as subject, the alert in its text, and one id however often it is sent."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)) as server:
        server.received = queue.Queue()
        monkeypatch.setenv("ALERT_SMTP_URL", f"smtp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("ALERT_EMAIL_FROM", "dagster@example.com")
        monkeypatch.setenv("ALERT_EMAIL_TO", "team@example.com")
        example.notify(ALERT)
        example.notify(ALERT)
        first, second = (server.received.get(timeout=5) for _ in range(2))
    assert (first["Subject"], first["To"]) == (ALERT.title, "team@example.com")
    assert first["Message-ID"] == second["Message-ID"]
    assert '"observed": 0.6' in first.get_payload(decode=True).decode()


def test_a_channel_that_refuses_makes_the_sensor_try_again(example, inbox, monkeypatch):
    """A refusal is an error, so the alert is not taken for sent."""
    monkeypatch.setenv("ALERT_WEBHOOK_URL", inbox.url)
    inbox.status = 503
    with pytest.raises(HTTPError):
        example.notify(ALERT)


def test_the_example_loads_without_a_key(example, monkeypatch):
    """A code server that has neither key nor service nor channel loads the example."""
    monkeypatch.delenv("VECTORSHIFT_API_KEY", raising=False)
    dg.Definitions.validate_loadable(example.defs)
    example.notify(ALERT)
    checks = {key.name for key in example.defs.resolve_asset_graph().asset_check_keys}
    assert {"error_rate", "latency_p95", "latency_p95_baseline", "error_count"} < checks


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S))
def test_the_page_is_true(code):
    """The code of docs/dagster-alerts.md runs as it stands, and what it defines can be loaded."""
    names = {"__name__": "page"}
    exec(compile(code, "docs/dagster-alerts.md", "exec"), names)
    dg.Definitions.validate_loadable(names["defs"])


QUERY_CHECKS = """query($key: AssetKeyInput!, $name: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, limit: 10) {
    status evaluation { success severity partition metadataEntries { label } } } }"""
QUERY_STEPS = """query($id: ID!) { pipelineRunOrError(runId: $id) { ... on Run { status
  assetMaterializations { assetKey { path } } } } }"""
LAUNCH = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { id status } } } }"
START = """mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { ... on Sensor { name } } }"""
CURSOR = """mutation($s: SensorSelector!, $c: String) { setSensorCursor(sensorSelector: $s, cursor: $c) {
  ... on Sensor { name } ... on PythonError { message } } }"""
TICKS = """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor {
  sensorState { ticks(limit: 20) { tickId status skipReason error { message } } } } } }"""


class Live:
    """`dagster dev` on the example, and its GraphQL."""

    def __init__(self, port):
        self.port = port

    def ask(self, query, **variables):
        """The data of one GraphQL request."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer
        return answer["data"]

    def selector(self, sensor):
        """How GraphQL names a sensor of the example."""
        return {
            "repositoryName": "__repository__",
            "repositoryLocationName": "alerts.py",
            "sensorName": sensor,
        }

    def ticks(self, sensor):
        """The finished ticks of a sensor, newest first."""
        found = self.ask(TICKS, s=self.selector(sensor))["sensorOrError"]["sensorState"]["ticks"]
        return [each for each in found if each["status"] != "STARTED"]


def until(condition, seconds, what):
    """What `condition` returns as soon as it is true; it is asked again and again."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.3)
    return found


@pytest.fixture
def live(blank, inbox, tmp_path):
    """The example as a user starts it, told where the sink is."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(EXAMPLES / "dagster.yaml", home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path / "dev.log").open("wb")
    process = subprocess.Popen(
        [
            *(Path(sys.executable).parent / "dagster", "dev", "-f", EXAMPLES / "alerts.py"),
            *("-h", "127.0.0.1", "-p", str(port)),
        ],
        cwd=tmp_path,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(home),
            "VECTORSHIFT_EXAMPLES_HOME": str(tmp_path),
            "VECTORSHIFT_API_KEY": blank.api_key,
            "VECTORSHIFT_BASE_URL": blank.base_url,
            "ALERT_WEBHOOK_URL": inbox.url,
        },
    )

    def answers():
        assert process.poll() is None, (tmp_path / "dev.log").read_text()
        try:
            with urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    try:
        until(answers, 120, "dagster dev")
        yield Live(port)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.mark.slow
def test_a_burst_stops_the_report_and_is_told_once(blank, inbox, live):
    """Live: bad day in a range, check fails with ERROR, nothing downstream, one post for it, ever."""
    days = [str(YESTERDAY - timedelta(days=back)) for back in (2, 1, 0)]
    for day in days:
        blank.burst(
            50, at=datetime.fromisoformat(day).replace(hour=9, tzinfo=UTC), status="success"
        )
    noon = datetime.fromisoformat(days[1]).replace(hour=12, tzinfo=UTC)
    blank.burst(50, at=noon, error_message="quota exceeded")
    live.ask(START, s=live.selector("check_alerts"))
    blank.reset_counters()
    params = {
        "partitionNames": days,
        "assetSelection": [{"path": ["pipeline_health"]}, {"path": ["daily_report"]}],
        "fromFailure": False,
    }
    assert "backfillId" in live.ask(LAUNCH, p=params)["launchPartitionBackfill"]
    (run,) = until(
        lambda: [
            each
            for each in live.ask(RUNS)["runsOrError"]["results"]
            if each["status"] in ("SUCCESS", "FAILURE")
        ],
        120,
        "the run",
    )
    assert run["status"] == "FAILURE"
    landed = live.ask(QUERY_STEPS, id=run["id"])["pipelineRunOrError"]["assetMaterializations"]
    assert {each["assetKey"]["path"][-1] for each in landed} == {"pipeline_health"}

    found = live.ask(QUERY_CHECKS, key={"path": ["pipeline_health"]}, name="error_rate")
    evaluations = {
        each["evaluation"]["partition"]: each["evaluation"]
        for each in found["assetCheckExecutions"]
    }
    assert {day: each["success"] for day, each in evaluations.items()} == {
        days[0]: True,
        days[1]: False,
        days[2]: True,
    }
    assert evaluations[days[1]]["severity"] == "ERROR"

    body, _ = inbox.received.get(timeout=90)
    assert (body["check"], body["partition"], body["severity"]) == ("error_rate", days[1], "ERROR")
    assert (body["observed"], body["limit"], body["sample"]) == (0.5, 0.2, 100)
    assert body["top_errors"] == [{"message": "quota exceeded", "count": 50}]

    for cursor in ["no cursor at all"]:
        seen = {each["tickId"] for each in live.ticks("check_alerts")}
        live.ask(CURSOR, s=live.selector("check_alerts"), c=cursor)
        ticks = until(
            lambda seen=seen: [
                each for each in live.ticks("check_alerts") if each["tickId"] not in seen
            ],
            90,
            "a tick with another cursor",
        )
        assert {each["status"] for each in ticks} == {"SKIPPED"}
    assert inbox.received.empty()
