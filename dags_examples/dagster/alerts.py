"""Pipeline health with checks, and alerts on checks that fail: to Slack, to any webhook, by e-mail.

    dagster dev -f dags_examples/dagster/alerts.py

A day with too many failed runs is not reported on: check `error_rate` blocks `daily_report`. Sensor
`check_alerts` tells every channel whose variable is set where the code location runs:

    ALERT_SLACK_WEBHOOK_URL    an incoming webhook of Slack
    ALERT_WEBHOOK_URL          gets the alert as JSON, with `Idempotency-Key: <dedup key>`
    ALERT_SMTP_URL             smtp://[user:password@]host[:port], smtps:// for TLS from the start
    ALERT_EMAIL_FROM, ALERT_EMAIL_TO

The other variables are those of `definitions.py`, beside which it can be loaded:
`dagster dev -f .../definitions.py -f .../alerts.py -f .../exports.py`.
"""

import json
import os
import smtplib
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

import dagster as dg

from dagster_vectorshift import (
    Alert,
    DuckDBStorage,
    ErrorTable,
    HealthTable,
    VectorShiftResource,
    build_baseline_check,
    build_check_alert_sensor,
    build_error_count_check,
    build_error_count_sensor,
    build_error_rate_check,
    build_health_assets,
    build_health_freshness_checks,
    build_latency_check,
    build_report_asset,
)
from vectorshift import Analytics

HOME = Path(os.environ.get("VECTORSHIFT_EXAMPLES_HOME", "~/vectorshift")).expanduser()
START = os.environ.get("VECTORSHIFT_EXAMPLES_START", "2026-01-01")
DAYS = dg.DailyPartitionsDefinition(START)
HOURS = dg.HourlyPartitionsDefinition(f"{START}-00:00", end_offset=1)  # the current hour, too
RUNS = Analytics.query(kinds=["pipeline.run"])
SECONDS = 10.0  # a channel that does not answer must not use up the sensor's time


def to_webhook(alert: Alert, url: str) -> None:
    """The alert as JSON. A receiver that knows the key already may drop it."""
    _post(url, alert.to_dict(), {"Idempotency-Key": alert.dedup_key})


def to_slack(alert: Alert, url: str) -> None:
    """Title, reason and the commonest error message, as plain text: messages are users' own words."""
    lines = [alert.title, alert.reason, *(f"{n} x {text}" for text, n in alert.top_errors[:3])]
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": "\n".join(lines)[:3000]}}]
    _post(url, {"text": alert.title, "blocks": blocks}, {})


def to_email(alert: Alert, url: str, sender: str, to: str) -> None:
    """One message; a copy that is sent again has the same Message-ID."""
    server = urlsplit(url)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, alert.title
    message["Message-ID"] = f"<{alert.dedup_key.encode().hex()}@vectorshift.invalid>"
    message.set_content(f"{alert.reason}\n\n{json.dumps(alert.to_dict(), indent=2)}\n")
    connect = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with connect(server.hostname or "", server.port or 0, timeout=SECONDS) as connection:
        if server.username:
            if server.scheme != "smtps":
                connection.starttls()
            connection.login(unquote(server.username), unquote(server.password or ""))
        connection.send_message(message)


def notify(alert: Alert) -> None:
    """Tell every channel that is set up; the first that fails makes the sensor try again.

    The addresses are secrets: they are read here, and never become part of a definition.
    """
    if url := os.environ.get("ALERT_WEBHOOK_URL"):
        to_webhook(alert, url)
    if url := os.environ.get("ALERT_SLACK_WEBHOOK_URL"):
        to_slack(alert, url)
    if url := os.environ.get("ALERT_SMTP_URL"):
        to_email(alert, url, os.environ["ALERT_EMAIL_FROM"], os.environ["ALERT_EMAIL_TO"])


def _post(url: str, body: object, headers: dict[str, str]) -> None:
    request = Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    with urlopen(request, timeout=SECONDS) as reply:
        reply.read()


health = build_health_assets(
    tables=[HealthTable("run_health"), ErrorTable("error_messages")],
    query=RUNS,
    partitions_def=DAYS,
)
by_pipeline = health.get_asset_spec(dg.AssetKey("run_health"))


# The health page of the day; not made for a day that check `error_rate` fails.
daily_report = build_report_asset(
    tables=["run_health", "error_messages"],
    destination=f"{HOME}/daily_report-{{partition}}.html",
    partitions_def=DAYS,
    name="daily_report",
)


defs = dg.Definitions(
    assets=[health, daily_report, dg.AssetSpec("pipeline_runs", partitions_def=HOURS)],
    asset_checks=[
        build_error_rate_check(by_pipeline, warn=0.05, error=0.2, query=RUNS, blocking=True),
        build_latency_check(by_pipeline, warn=30_000, error=120_000, query=RUNS),
        build_baseline_check(by_pipeline, metric="latency.p95", minimum_sample=20, query=RUNS),
        build_error_count_check("pipeline_runs", warn=20, error=100, query=RUNS),
        *build_health_freshness_checks([by_pipeline], partitions_def=DAYS),
    ],
    schedules=[
        dg.build_schedule_from_partitioned_job(
            dg.define_asset_job("daily_run_health", selection=[health, daily_report]),
            hour_of_day=2,
        )
    ],
    sensors=[
        build_check_alert_sensor(
            notify, max_age=timedelta(days=3)
        ),  # backfills of old days stay silent
        build_error_count_sensor(
            "pipeline_runs", partitions_def=HOURS, warn=20, error=100, query=RUNS
        ),
    ],
    executor=dg.in_process_executor,
    resources={
        "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),
        "storage": DuckDBStorage(path=str(HOME / "health.duckdb")),
    },
)
