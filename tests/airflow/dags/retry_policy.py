"""A task of a user's own that asks the service, under the retry policy. It notes when each try began."""

import os
import time
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.retry import VectorShiftRetryPolicy

with DAG(
    dag_id="retry_policy",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
):

    @task(retries=2, retry_delay=timedelta(0), retry_policy=VectorShiftRetryPolicy())
    def count():
        """How many events the account has."""
        with open(os.environ["RETRY_POLICY_TRIES"], "a") as file:
            file.write(f"{time.time()}\n")
        with VectorShiftHook().get_conn() as client:
            return client.query().count()["count"]

    count()
