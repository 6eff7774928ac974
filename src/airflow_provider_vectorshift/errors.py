"""Which errors are worth another try, and which fail the task at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_vectorshift._airflow import AirflowFailException, TaskDeferralTimeout
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsInvalidQuery,
    AnalyticsNotFound,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    PermissionDeniedError,
    UnprocessableEntityError,
)
from vectorshift_orchestration.errors import (
    ExportFileError,
    ExportIncomplete,
    MergeError,
    SchemaMismatch,
    SpecError,
    StaleWriterError,
    UnstorableValue,
    WindowError,
)

PERMANENT = (
    AuthenticationError,
    PermissionDeniedError,
    BadRequestError,
    UnprocessableEntityError,
    AnalyticsInvalidQuery,
    ConfigurationError,
    WindowError,
    SpecError,
    MergeError,
    SchemaMismatch,
    UnstorableValue,
)
"""Trying again cannot help: somebody has to change the DAG, the connection or the table."""

SPENT = (
    AnalyticsExportFailed,
    AnalyticsNotFound,
    AnalyticsDownloadFailed,
    ExportFileError,
    ExportIncomplete,
    StaleWriterError,
)
"""This export is of no more use; the next try has to ask for a new one."""


class VectorShiftConnectionError(AirflowFailException):
    """The Airflow connection is missing or unusable; the text names it and says what to set."""


class VectorShiftTriggererTimeout(TaskDeferralTimeout):
    """No triggerer told how a deferred export stands, and its time is up; a retry may help."""


@contextmanager
def failing_fast(name: str) -> Iterator[None]:
    """Turn an error that trying again cannot help into `AirflowFailException`, which ends the task.

    Its text begins with `name`, the task's, and the original is its `__cause__`. Everything else
    passes, and Airflow's retries apply to it.
    """
    try:
        yield
    except PERMANENT as error:
        text = str(error)
        if not text.startswith(name):
            text = f"{name}: {type(error).__name__}: {text}"
        raise AirflowFailException(text) from error
