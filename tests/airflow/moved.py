"""The names that these tests need and whose home moved between Airflow 3.1 and 3.3."""

try:
    from airflow.sdk.exceptions import TaskDeferred
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # Airflow 3.1
    from airflow.exceptions import TaskDeferred
    from airflow.serialization.serde import deserialize, serialize

__all__ = ["TaskDeferred", "deserialize", "serialize"]
