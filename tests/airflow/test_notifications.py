"""The example of alerts: what Slack, PagerDuty and a mail server are sent, by Airflow's own notifiers."""

import html
import json
import os
import subprocess
import sys
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException

from tests.airflow.conftest import EXAMPLES
from tests.airflow.running import last_day, run_dag
from tests.sdk.certificates import Authority
from tests.sinks import Inbox, Mailbox, serving
from vectorshift_orchestration import Absolute, TopErrors, Verdict, Window
from vectorshift_orchestration.thresholds.reports import verdict_as_json

LONG_AGO = last_day().start - timedelta(days=60)  # before the first event that the emulator makes
HOUR = Window(LONG_AGO, LONG_AGO + timedelta(hours=1))
ENDS = HOUR.to_dict()
TITLE = "error_rate_hourly: ERROR"
TEXT = f"{ENDS['start']} to {ENDS['end']}: observed 0.75, limit 0.2, runs 40."
MESSAGE = "quota <exceeded> & <!channel>"
TOLD = f"{TEXT}\n30 x {MESSAGE}"


@pytest.fixture
def channels(metadata_database, emulator, monkeypatch, tmp_path):
    """Sinks for the three channels, and everything set up as a user would: connections and environment."""
    authority = Authority(tmp_path)
    with (
        serving(Inbox(reply=b"ok")) as slack,
        serving(
            Inbox(
                reply=b'{"status": "success", "message": "Event processed", "dedup_key": "k"}',
                certificates=authority.server("events.pagerduty.com"),
            )
        ) as pagerduty,
        serving(Mailbox()) as smtp,
    ):
        pagerduty.status = 202
        connections = {
            "SLACK_DEFAULT": {
                "conn_type": "slackwebhook",
                "host": slack.url,
                "password": "T000/B000/secret",
            },
            "PAGERDUTY_EVENTS_DEFAULT": {"conn_type": "pagerduty_events", "password": "routing"},
            "SMTP_DEFAULT": {
                "conn_type": "smtp",
                "host": "127.0.0.1",
                "port": smtp.port,
                "extra": {
                    "from_email": "airflow@example.com",
                    "disable_ssl": True,
                    "disable_tls": True,
                },
            },
        }
        for name, connection in connections.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
        # PagerDuty's address is fixed in its client: a proxy and an authority of our own lead it here.
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{pagerduty.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
        monkeypatch.setenv("ALERT_CHANNELS", "slack,pagerduty,smtp")
        monkeypatch.setenv("ALERT_EMAIL_TO", "team@example.com")
        yield SimpleNamespace(slack=slack, pagerduty=pagerduty, smtp=smtp)


@pytest.fixture
def example():
    """The example's module."""
    spec = spec_from_file_location("error_alerts", EXAMPLES / "error_alerts.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scheduled(emulator):
    """Run the scheduled example for an hour in which 30 of 40 runs failed: its task's state."""
    noon = HOUR.start + timedelta(minutes=5)
    emulator.burst(10, at=noon, status="success")
    emulator.burst(30, at=noon, error_message=MESSAGE)
    (task,) = run_dag("error_rate_hourly", HOUR.end, EXAMPLES).get_task_instances()
    return str(task.state)


def test_a_breach_reaches_every_channel(emulator, channels):
    """The task fails, and Slack, PagerDuty and the mailbox get window, observed, limit and messages."""
    assert scheduled(emulator) == "failed"

    body, _ = channels.slack.received.get(timeout=5)
    assert body["text"] == TITLE
    (block,) = body["blocks"]
    assert block["text"] == {"type": "plain_text", "text": TOLD}  # no markup: nobody is pinged

    event, headers = channels.pagerduty.received.get(timeout=5)
    assert headers["Host"] == "events.pagerduty.com"
    assert (event["routing_key"], event["event_action"]) == ("routing", "trigger")
    assert (event["payload"]["summary"], event["payload"]["severity"]) == (TITLE, "error")
    assert event["payload"]["custom_details"] == {"verdict": TOLD}
    assert event["dedup_key"].startswith("error_rate_hourly/")

    mail = channels.smtp.received.get(timeout=5)
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        TITLE,
        "airflow@example.com",
        "team@example.com",
    )
    (part,) = mail.get_payload()
    assert part.get_payload(decode=True).decode().strip() == f"<pre>{html.escape(TOLD)}</pre>"


def test_a_check_that_could_not_be_made_is_reported_too(emulator, channels, connect):
    """A failure without a verdict is an alert that tells the error."""
    connect(host=emulator.base_url, password="sk_wrong_key")
    assert scheduled(emulator) == "failed"
    body, _ = channels.slack.received.get(timeout=5)
    assert body["text"] == "error_rate_hourly: no verdict"
    assert "401" in body["blocks"][0]["text"]["text"]
    assert "sk_wrong_key" not in str(body)


def test_an_hour_within_its_limits_is_silent(emulator, channels):
    """Where nothing is wrong, nothing is sent."""
    emulator.burst(40, at=HOUR.start, status="success")
    (task,) = run_dag("error_rate_hourly", HOUR.end, EXAMPLES).get_task_instances()
    assert str(task.state) == "success"
    assert [sink.received.qsize() for sink in vars(channels).values()] == [0, 0, 0]


# --- event-driven ---


def told(observed=30):
    """A payload of the watcher."""
    verdict = Verdict(False, "breached", observed, 20.0, 40, "Too many.", HOUR, "ERROR")
    errors = TopErrors(((MESSAGE, 30),), 30, 30)
    result = verdict_as_json(verdict, Absolute(metric="errors.sum", error=20), errors)
    return result | {"vectorshift_conn_id": "vectorshift_default", "dedup_key": f"k:{observed}"}


@pytest.fixture
def triggered(metadata_database, monkeypatch):
    """Runs the event-driven example as if the watcher had told so much: its tasks' states.

    `dag.test()` makes runs without events, so they are added to the run that it makes.
    """
    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    make = dagrun.get_or_create_dagrun

    def run(payloads):
        def make_with_events(*, session, **arguments):
            created = make(session=session, **arguments)
            named = select(AssetModel.id).where(AssetModel.name == "vectorshift_failed_runs")
            asset_id = session.scalar(named)
            for each in payloads:
                extra = {"from_trigger": True, "payload": each}
                created.consumed_asset_events.append(AssetEvent(asset_id=asset_id, extra=extra))
            session.commit()
            return created

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", make_with_events)
        ended = run_dag("error_count_watch", None, EXAMPLES)
        return [(each.task_id, str(each.state)) for each in ended.get_task_instances()]

    return run


def test_events_become_alerts(channels, triggered):
    """Each breached window that the watcher told is one alert, through every channel."""
    tasks = triggered([told(30), told(31)])
    assert sorted(tasks) == [("alert", "success")] * 2 + [("breaches", "success")]
    texts = {channels.slack.received.get(timeout=5)[0]["blocks"][0]["text"]["text"] for _ in "12"}
    start = f"{ENDS['start']} to {ENDS['end']}: observed"
    assert texts == {
        f"{start} {observed}, limit 20, runs 40.\n30 x {MESSAGE}" for observed in (30, 31)
    }
    sent = [channels.pagerduty.received.get(timeout=5)[0] for _ in "12"]
    assert len({event["dedup_key"] for event in sent}) == 2
    assert {channels.smtp.received.get(timeout=5)["Subject"] for _ in "12"} == {
        "error_count_watch: ERROR"
    }


def test_a_channel_that_fails_fails_the_alert(channels, example):
    """An alert that was not taken is not lost: its task fails, so that its retries apply."""
    channels.slack.status = 503
    context = {"dag": DAG("d", schedule=None), "run_id": "r", "ti": SimpleNamespace(map_index=0)}
    with pytest.raises(AirflowException, match="503"):
        example.alert.function(told(), **context)


def test_the_example_is_read_without_a_library():
    """Reading the file loads neither a data library nor a provider whose channel is not in use."""
    script = (
        "import airflow.sdk, runpy, sys\n"
        "before = set(sys.modules)\n"
        f"runpy.run_path({str(EXAMPLES / 'error_alerts.py')!r})\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
        "print(*[name for name in sys.modules if name.endswith('notifications')])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ALERT_CHANNELS"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    roots, providers = done.stdout.splitlines()[-2:]
    libraries = {"duckdb", "httpx", "pandas", "pyarrow", "slack_sdk", "pagerduty", "aiohttp"}
    assert not libraries & set(roots.split())
    assert providers == ""


def test_an_unknown_channel_is_refused(example, monkeypatch):
    """A channel that is none is told where the DAG is read."""
    monkeypatch.setenv("ALERT_CHANNELS", "slack,pigeon")
    with pytest.raises(ValueError, match="not 'pigeon'"):
        example.notifiers()
