"""Watched error counts: an asset whose watchers alert, and the DAG that each alert starts.

ERROR_WATCH is JSON: the trigger's arguments by the watcher's name; ERROR_WATCH_ALERTS the file to
which each alert is appended as one line of JSON: when it was noted, the run, and the event's payload.
"""

import json
import os
import time

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_vectorshift.triggers import VectorShiftErrorCountTrigger

QUICK = {"threshold": 20, "window": 5, "interval": 5, "settle": 0}
WATCHERS = json.loads(os.environ.get("ERROR_WATCH", json.dumps({"over_20": QUICK})))

watched = Asset(
    "error_watch",
    watchers=[
        AssetWatcher(name=name, trigger=VectorShiftErrorCountTrigger(**arguments))
        for name, arguments in WATCHERS.items()
    ],
)

with DAG(
    dag_id="error_watch",
    schedule=[watched],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
):

    @task
    def note(run_id=None, triggering_asset_events=None):
        """Write down what the watchers told."""
        with open(os.environ["ERROR_WATCH_ALERTS"], "a") as file:
            for events in triggering_asset_events.values():
                for event in events:
                    line = [time.time(), run_id, event.extra["payload"]]
                    file.write(json.dumps(line) + "\n")

    note()
