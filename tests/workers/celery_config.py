"""Celery's settings for the workers of Airflow: they import once what each task would import anew."""

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

CONFIG = {
    **DEFAULT_CELERY_CONFIG,
    "imports": [
        "airflow_provider_vectorshift.operators",
        "airflow.providers.postgres.hooks.postgres",
        "pyarrow.csv",
        "duckdb",
        "psycopg2",
        "s3fs",
    ],
}
