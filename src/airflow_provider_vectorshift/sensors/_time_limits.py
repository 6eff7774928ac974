"""How long a sensor may wait: as long when deferred as on a worker."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from airflow_provider_vectorshift._airflow import (
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)
from airflow_provider_vectorshift._arguments import execution_left, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger


class TimeLimitedSensor(BaseSensorOperator):
    """A sensor whose `execution_timeout` holds while it is deferred, too, where Airflow ignores it.

    The earlier of the two limits ends the wait: `timeout` for good, as `AirflowSensorTimeout`, and
    `execution_timeout` the try, as `AirflowTaskTimeout`, so that retries apply. With `soft_fail` or
    `never_fail` both skip the task.
    """

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: "Context"
    ) -> Any:
        """As Airflow does it, but the limit that ended the wait decides how the task ends."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowTaskTimeout as error:
            self._skip(error)
            raise
        except AirflowSensorTimeout as error:
            if isinstance(error.__cause__, TaskDeferralTimeout) and self._try_ends_first:
                raise self._out_of_time(str(error)) from error
            self._skip(error)  # which Airflow 3.1 leaves out
            raise

    def _longest_wait(self, context: "Mapping[str, Any]") -> float:
        """Seconds left to wait; all of them if the context has no task that has begun."""
        return max(min(self.timeout, execution_left(self, context)), 0.0)

    def _wait_in_triggerer(self, trigger: "BaseTrigger", wait: float) -> NoReturn:
        """Go on waiting in the triggerer, which gets some time to report its own timeout."""
        from airflow_provider_vectorshift.triggers._waiting import GRACE

        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=wait) + GRACE,
        )

    def _not_in_time(self, happened: str, error: str) -> AirflowSensorTimeout | AirflowTaskTimeout:
        """The error of a wait that timed out, with the last error on the way."""
        limit = f"{self.timeout:g} s"
        if self._try_ends_first and self.execution_timeout is not None:
            limit = f"the execution_timeout of {self.execution_timeout.total_seconds():g} s"
        message = f"{name_of(self)}: {happened} within {limit}. {error}".rstrip()
        return self._out_of_time(message)

    def _out_of_time(self, message: str) -> AirflowSensorTimeout | AirflowTaskTimeout:
        return (
            AirflowTaskTimeout(message) if self._try_ends_first else AirflowSensorTimeout(message)
        )

    @property
    def _try_ends_first(self) -> bool:
        limit = self.execution_timeout
        return limit is not None and limit.total_seconds() < self.timeout

    def _skip(self, error: BaseException) -> None:
        """Raise `AirflowSkipException` where the sensor's failures are skips."""
        if self.soft_fail or self.never_fail:
            raise AirflowSkipException(str(error)) from error
