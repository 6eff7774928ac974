"""A value let out everywhere on purpose, so that a search for it can be seen to find it."""

import logging

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, task

with DAG(dag_id="leak", schedule=None):

    @task
    def tell(dag_run=None, task_state_store=None):
        """Log it, store it and return it."""
        value = dag_run.conf["value"]
        logging.getLogger(__name__).info("let out: %s", value)
        task_state_store.set("leak", value)
        return value

    tell() >> FileSensor(
        task_id="wait", filepath="{{ dag_run.conf['value'] }}", deferrable=True, poke_interval=1
    )
