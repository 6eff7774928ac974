"""The example with alerts: its channels against real sinks. It runs in a live instance in test_live.py."""

from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.error import HTTPError

import dagster as dg
import pytest

from dagster_vectorshift import Alert
from tests.days import MIDNIGHT
from tests.sinks import Inbox, Mailbox, serving
from vectorshift_orchestration.windows import Window

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "dags_examples" / "dagster"
YESTERDAY = MIDNIGHT.date() - timedelta(days=1)
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
    with serving(Mailbox()) as server:
        monkeypatch.setenv("ALERT_SMTP_URL", f"smtp://127.0.0.1:{server.port}")
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
