"""A retry policy that knows the service's errors (Airflow 3.3).

    VectorShiftExportOperator(..., retries=5, retry_policy=VectorShiftRetryPolicy())

On an earlier Airflow importing this module raises ImportError, which says so.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from vectorshift_orchestration.errors import is_permanent

try:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
except ImportError as error:
    raise ImportError(
        "VectorShiftRetryPolicy needs Airflow 3.3 or later, which first has retry policies. "
        "Leave retry_policy= out; permanent errors fail operators at once without it, too."
    ) from error

if TYPE_CHECKING:
    from airflow.sdk import Context

_LONGEST_WAIT = 3600.0


class VectorShiftRetryPolicy(RetryPolicy):
    """Retries when the service says so, and not at all when that cannot help.

    An answer with `Retry-After` (a 429, mostly) is followed after that time, an hour at most. An
    error that trying again cannot help, such as a refused key or query, fails the task at once.
    Everything else is retried after the task's own `retry_delay`. The number of `retries` stays.

    Operators of this package fail at once without it, too; tasks of your own that use
    `VectorShiftHook` need it. A deferred wait honours `Retry-After` by itself.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: "Context | None" = None,
    ) -> RetryDecision:
        """What to do after `exception`; Airflow calls this on the worker."""
        if is_permanent(exception):
            return RetryDecision.fail(f"{type(exception).__name__}: a retry cannot help.")
        wait = getattr(exception, "retry_after", None)
        if wait is None:
            return RetryDecision.default()
        delay = timedelta(seconds=min(wait, _LONGEST_WAIT))
        return RetryDecision.retry(delay, f"The service asked to wait {wait:g} s.")

    def serialize(self) -> dict[str, Any]:
        """The policy as JSON; it has no settings."""
        return {"__type": type(self).__name__}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """The policy that `serialize` described."""
        return cls()
