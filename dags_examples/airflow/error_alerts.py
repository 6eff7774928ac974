"""Alerts on failed runs, by the notifiers that you have: Slack, PagerDuty, e-mail.

    error_rate_hourly    scheduled: each hour's share of failed runs; a breach fails the task
    error_count_watch    event-driven: runs as soon as ten minutes had more than 20 failed runs

Channels are named in the environment variable ALERT_CHANNELS, such as "slack,pagerduty,smtp", and
each takes a connection of Airflow: `slack_default` (a webhook), `pagerduty_events_default`, and
`smtp_default`, whose extra holds `from_email`; e-mail goes to ALERT_EMAIL_TO. Without channels the
alerts are seen in Airflow only. The account is connection `vectorshift_default`.

    airflow dags test error_rate_hourly 2026-11-23T13:00Z     # judges 12:00 to 13:00
"""

import os
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_vectorshift.operators import VectorShiftThresholdCheckOperator
from airflow_provider_vectorshift.triggers import VectorShiftErrorCountTrigger
from vectorshift import Analytics
from vectorshift_orchestration import Rate

RUNS = Analytics.query(kinds=["pipeline.run"])
START = pendulum.datetime(2020, 1, 1, tz="UTC")

TITLE = "{{ dag.dag_id }}: {{ verdict.severity if verdict else 'no verdict' }}"
TEXT = """\
{% if verdict -%}
{{ verdict.window.start }} to {{ verdict.window.end }}: \
observed {{ '%.4g' % verdict.observed if verdict.observed is number else 'beyond measure' }}, \
limit {{ '%g' % verdict.limit }}, runs {{ verdict.sample }}.
{%- for each in verdict.top_errors %}
{{ each.count }} x {{ each.message }}
{%- endfor -%}
{% else %}{{ exception }}{% endif %}"""
"""Error messages are users' own words, so every channel gets them as plain text."""


def notifiers(verdict: str = "") -> list[Any]:
    """The notifiers of the channels that are set up; `verdict` is Jinja that defines one, if need be.

    A provider is imported when its channel is in use: they take time to load.
    """
    title, text = verdict + TITLE, verdict + TEXT
    made: list[Any] = []
    for channel in filter(None, os.environ.get("ALERT_CHANNELS", "").split(",")):
        if channel == "slack":
            from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

            block = {"type": "section", "text": {"type": "plain_text", "text": text}}
            made.append(SlackWebhookNotifier(text=title, blocks=[block]))
        elif channel == "pagerduty":
            from airflow.providers.pagerduty.notifications.pagerduty import PagerdutyNotifier

            made.append(
                PagerdutyNotifier(
                    summary=title,
                    severity="error",
                    source="airflow",
                    dedup_key="{{ dag.dag_id }}/{{ run_id }}/{{ ti.map_index }}",
                    custom_details={"verdict": text},
                )
            )
        elif channel == "smtp":
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier

            made.append(
                SmtpNotifier(
                    to=os.environ["ALERT_EMAIL_TO"],
                    subject=title,
                    html_content=f"<pre>{{% filter e %}}{text}{{% endfilter %}}</pre>",
                )
            )
        else:
            raise ValueError(f"ALERT_CHANNELS knows slack, pagerduty and smtp, not {channel!r}.")
    return made


with DAG(
    dag_id="error_rate_hourly",
    description="An alert for each hour with too many failed runs",
    # A plain "@hourly" would have an empty data interval in Airflow 3.
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=START,
    catchup=False,
    tags=["vectorshift"],
    doc_md=__doc__,
):
    VectorShiftThresholdCheckOperator(
        task_id="error_rate",
        rule=Rate(warn=0.05, error=0.2, minimum_sample=20),
        query=RUNS,
        retries=2,  # for a service that cannot be asked; a breach is not tried again
        on_failure_callback=notifiers("{% set verdict = ti.xcom_pull(task_ids=ti.task_id) %}"),
    )

failed_runs = Asset(
    "vectorshift_failed_runs",
    watchers=[
        AssetWatcher(
            name="more_than_20",
            trigger=VectorShiftErrorCountTrigger(
                threshold=20, window=timedelta(minutes=10), query=RUNS
            ),
        )
    ],
)

with DAG(
    dag_id="error_count_watch",
    description="An alert as soon as a window of ten minutes has too many failed runs",
    schedule=[failed_runs],
    start_date=START,
    catchup=False,
    tags=["vectorshift"],
    doc_md=__doc__,
):

    @task
    def breaches(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """The verdicts behind this run: one for each window that was breached since the last run."""
        return [
            event.extra["payload"]
            for events in triggering_asset_events.values()
            for event in events
        ]

    @task(retries=3, retry_delay=timedelta(seconds=30))
    def alert(verdict: dict[str, Any], **context: Any) -> None:
        """Tell every channel. This is a task, not a callback, so that a failing channel is tried again."""
        for notifier in notifiers():
            notifier({**context, "verdict": verdict})

    alert.expand(verdict=breaches())
