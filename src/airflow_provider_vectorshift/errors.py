"""Errors as Airflow takes them: fail the task at once, or let its retries apply."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from airflow_provider_vectorshift._airflow import AirflowFailException, TaskDeferralTimeout
from vectorshift.errors import RetryAdvice, VectorshiftError
from vectorshift_orchestration.errors import is_permanent


class VectorShiftConnectionError(AirflowFailException):
    """The Airflow connection is missing or unusable; the text names it and says what to set."""

    retry_advice: ClassVar[RetryAdvice] = RetryAdvice.PERMANENT


class VectorShiftConnectionMissing(VectorShiftConnectionError):
    """The Airflow connection does not exist where it was looked up."""


class VectorShiftTriggererTimeout(TaskDeferralTimeout):
    """No triggerer reported on a deferred export in time; a retry may help."""


@contextmanager
def failing_fast(name: str) -> Iterator[None]:
    """Turn an error that a retry cannot help into `AirflowFailException`, which ends the task.

    Its text begins with `name`, the task's, and the original is its `__cause__`. Everything else
    passes, and Airflow's retries apply to it.
    """
    try:
        yield
    except VectorshiftError as error:
        if not is_permanent(error):
            raise
        text = str(error)
        if not text.startswith(name):
            text = f"{name}: {type(error).__name__}: {text}"
        raise AirflowFailException(text) from error
