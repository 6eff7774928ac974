"""An alert that nobody schedules: a watcher in the triggerer raises it."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_vectorshift.triggers import VectorShiftErrorCountTrigger

failures = Asset(
    "pipeline_failures",
    watchers=[
        AssetWatcher(
            name="over_20",
            trigger=VectorShiftErrorCountTrigger(
                threshold=20,
                window=timedelta(seconds=5),
                settle=timedelta(0),
                interval=1,
                vectorshift_conn_id="vs_watch",
            ),
        )
    ],
)

with DAG(dag_id="watch", schedule=[failures]):

    @task
    def alert(triggering_asset_events=None):
        """What the alert says, of each window that raised it."""
        return [event.extra["payload"] for event in triggering_asset_events[failures]]

    alert()
