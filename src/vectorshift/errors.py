"""Every error that this SDK raises. Each one pickles and none holds a key or a signed URL.

VectorshiftError
├── ConfigurationError                  the process is set up wrongly; nothing was sent
├── VectorshiftApiError                 the API answered with an error status (alias: ApiStatusError)
│   ├── BadRequestError                 400
│   ├── AuthenticationError             401
│   │   └── MissingApiKeyError          no key to send; nothing was sent
│   ├── PermissionDeniedError           403
│   ├── NotFoundError                   404
│   ├── UnprocessableEntityError        422
│   ├── RateLimitError                  429
│   ├── InternalServerError             500 and above
│   └── InvalidResponseError            a success status with a body that is not the contract's
├── ApiConnectionError                  no answer came back
│   └── ApiTimeoutError                 (TimeoutError) it did not come in time
└── AnalyticsError
    ├── AnalyticsInvalidQuery           refused before anything was sent
    │   ├── AnalyticsTypeError          (TypeError) an argument of the wrong kind
    │   └── AnalyticsUnsupported        (NotImplementedError) a comparison that the service does not have
    ├── AnalyticsNotFound               a lookup had no result
    │   └── AnalyticsRouteNotFound      (NotFoundError) the same, from HTTP 404
    ├── AnalyticsRequestFailed          HTTP 200 whose body says status "failed"
    ├── AnalyticsIncomplete             a walk over all pages could not see every row
    ├── AnalyticsExportFailed           an export task ended in "failed"
    ├── AnalyticsExportTimeout          (TimeoutError) an export was not ready in time
    └── AnalyticsDownloadFailed         an export's file did not arrive whole

What trying again can do about one is its class's `retry_advice`.

Source: reference page "Errors"; docs/contract.md A6, B5, C.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

_URL = re.compile(r"(https?://[^\s\"'<>?]+)(\?[^\s\"'<>]*)?")
_KEY = re.compile(r"\bsk_[A-Za-z0-9_\-]{4,}")
_BODY_LIMIT = 2000
_OF_AN_ID = "Check the id; the service also answers 404 for objects of other organisations."
_ADDRESS = "must be the API's own with its version, as in https://api.vectorshift.ai/v1"


def redact(text: str, *secrets: str) -> str:
    """Return `text` without the given secrets, anything shaped like a key, and any URL's query string."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _URL.sub(lambda url: f"{url[1]}?***" if url[2] else url[1], _KEY.sub("sk_***", text))


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class RetryAdvice(StrEnum):
    """What trying again can do about an error. The SDK's own retries have been made by then."""

    PERMANENT = "permanent"
    """The same call fails in the same way until the code, the settings or the data change."""

    ASK_ANEW = "ask_anew"
    """The requested resource is no longer usable; a try with a new one may succeed."""

    MAY_PASS = "may_pass"
    """The same call, or going on from where it stopped, may succeed later."""


class VectorshiftError(Exception):
    """Anything that this SDK raises."""

    retry_advice: ClassVar[RetryAdvice] = RetryAdvice.MAY_PASS
    """What trying again can do about it."""

    # The default protocol calls __init__ with `args`, which our keyword arguments do not fit.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(VectorshiftError):
    """The process is set up wrongly; the message says what to change. Nothing was sent."""

    retry_advice = RetryAdvice.PERMANENT


class VectorshiftApiError(VectorshiftError):
    """The API answered with an error status.

    Attributes: `status_code`, `method`, `endpoint` (path template without the base URL), `error_message` (what the
    service said), `raw_response` (start of the body, redacted), `request_id`, `retry_after` (seconds, when the service
    named them) and `message` (the whole sentence). Source: docs/contract.md A6.
    """

    hint = "Look at the detail; the request itself was delivered."

    def __init__(
        self,
        error_message: str,
        *,
        status_code: int | None = None,
        method: str = "",
        endpoint: str = "",
        raw_response: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status_code = status_code
        self.method = method
        self.endpoint = endpoint
        self.error_message = error_message
        self.raw_response = raw_response[:_BODY_LIMIT]
        self.request_id = request_id
        self.retry_after = retry_after
        if status_code == 405 or 300 <= (status_code or 0) < 400:
            self.hint = f"Check the base URL: it {_ADDRESS}."
        self.message = self._sentence()
        super().__init__(self.message)

    def _sentence(self) -> str:
        status = f"HTTP {self.status_code}" if self.status_code else "not sent"
        request = f"; request id {self.request_id}" if self.request_id else ""
        where = f" from {self.method} {self.endpoint}" if self.endpoint else ""
        detail = f": {self.error_message}" if self.error_message else ""
        return f"{status}{where}{request}{detail}. {self.hint}"


class BadRequestError(VectorshiftApiError):
    """400: the service could not read the request."""

    retry_advice = RetryAdvice.PERMANENT

    hint = "The service refused the request as malformed: check filters, fields and values."


class AuthenticationError(VectorshiftApiError):
    """401: the key is missing, malformed or unknown."""

    retry_advice = RetryAdvice.PERMANENT

    hint = "Check the API key of this client (VECTORSHIFT_API_KEY or vectorshift.api_key) and its organisation."


class MissingApiKeyError(AuthenticationError):
    """The key is missing. Nothing was sent."""

    hint = "Set VECTORSHIFT_API_KEY, assign vectorshift.api_key, or build Client(api_key=...)."


class PermissionDeniedError(VectorshiftApiError):
    """403: the key may not do this."""

    retry_advice = RetryAdvice.PERMANENT

    hint = "The key is known but not allowed to do this: ask for the right, or use another key."


class NotFoundError(VectorshiftApiError):
    """404: no such thing, or it belongs to another organisation."""

    retry_advice = RetryAdvice.PERMANENT

    hint = (
        f"Check the base URL, which may lack its /v1: it {_ADDRESS}. If other calls are answered, the object that this one "
        "names does not exist, or belongs to another organisation."
    )


class UnprocessableEntityError(VectorshiftApiError):
    """422: well-formed but not acceptable."""

    retry_advice = RetryAdvice.PERMANENT

    hint = "The service understood the request and refused its values."


class RateLimitError(VectorshiftApiError):
    """429: too many requests. `retry_after` holds the seconds that the service named, if any."""

    hint = "Wait and try again, or lower the number of requests at once."


class InternalServerError(VectorshiftApiError):
    """500 and above: the service failed."""

    hint = "The service failed after our own retries: try again later, then give its support the request id."


class InvalidResponseError(VectorshiftApiError):
    """A success status whose body is empty, cut short, not JSON, or not shaped as the contract says."""

    hint = (
        "Check that the base URL is the API's and that no proxy or login page answers in its place."
    )


ApiStatusError = VectorshiftApiError

STATUS_ERRORS: Mapping[int, type[VectorshiftApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def error_class(status: int) -> type[VectorshiftApiError]:
    """Return the class for an HTTP status. Source: docs/contract.md A6 (Status → class)."""
    if status >= 500:
        return InternalServerError
    return STATUS_ERRORS.get(status, VectorshiftApiError)


class ApiConnectionError(VectorshiftError):
    """No answer came back. `request_info` holds the method and the path template; `sent` says whether the request may have arrived."""

    def __init__(
        self, reason: str, *, method: str = "", endpoint: str = "", sent: bool = False
    ) -> None:
        self.request_info = {"method": method, "endpoint": endpoint}
        self.reason = reason
        self.sent = sent
        effect = "The service may have acted on it" if sent else "The request did not arrive"
        super().__init__(
            f"no answer from {method} {endpoint}: {reason}. {effect}; check the network and the base URL, then try again."
        )


class ApiTimeoutError(ApiConnectionError, TimeoutError):
    """The answer did not come within the connect, read or total time."""


class AnalyticsError(VectorshiftError):
    """Anything that is particular to the Analytics API.

    Attributes: `method`, `endpoint` (path template), `status_code` and `request_id` of the request that showed it; empty
    or None where nothing was sent.
    """

    def __init__(
        self,
        message: str = "",
        *,
        method: str = "",
        endpoint: str = "",
        status_code: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.method = method
        self.endpoint = endpoint
        self.status_code = status_code
        self.request_id = request_id
        if endpoint:
            request = f"; request id {request_id}" if request_id else ""
            message += f" [{method} {endpoint}: HTTP {status_code}{request}]"
        super().__init__(message)


class AnalyticsInvalidQuery(AnalyticsError):
    """The query was refused before anything was sent; the message says what to change."""

    retry_advice = RetryAdvice.PERMANENT


class AnalyticsTypeError(AnalyticsInvalidQuery, TypeError):
    """An argument of the wrong kind; also a TypeError."""


class AnalyticsUnsupported(AnalyticsInvalidQuery, NotImplementedError):
    """A comparison that the service does not have; also a NotImplementedError."""


class AnalyticsNotFound(AnalyticsError):
    """A trace, event, run or export-task lookup returned no result."""

    retry_advice = RetryAdvice.ASK_ANEW

    def __init__(self, message: str = "", **context: Any) -> None:
        super().__init__(f"{message}. {_OF_AN_ID}", **context)


class AnalyticsRouteNotFound(AnalyticsNotFound, NotFoundError):
    """The same, from HTTP 404; also a NotFoundError with its attributes."""

    hint = (
        f"{_OF_AN_ID} If it does so for every id, even one that it has just given, the route is missing: check the base URL, "
        f"which may lack its /v1 (it {_ADDRESS}), and what is between here and the service."
    )

    def __init__(self, error_message: str, **context: Any) -> None:
        VectorshiftApiError.__init__(self, error_message, **context)

    def _sentence(self) -> str:
        return NotFoundError._sentence(self)


class AnalyticsRequestFailed(AnalyticsError):
    """A success status with a body whose `status` is "failed". `error_message` is what the service said."""

    def __init__(self, error_message: str, **context: Any) -> None:
        self.error_message = error_message
        super().__init__(
            f"the service failed: {error_message or 'no reason given'}. "
            "Nothing was returned; simplify the query or try again later.",
            **context,
        )


class AnalyticsIncomplete(AnalyticsError):
    """A walk over all pages could not see every row.

    Attributes: `seen`, `expected` (None if the service does not say), `again` (rows that came more than once).
    """

    def __init__(self, label: str, *, seen: int, expected: int | None, again: int = 0) -> None:
        self.seen = seen
        self.expected = expected
        self.again = again
        number = "an unknown number of" if expected is None else f"{expected:,}"
        reason = "Rows moved while the pages were read"
        if again:
            reason = (
                f"{again:,} rows came again on later pages, so rows moved while they were read, or the service keeps no "
                "fixed order, or it ignores the offset"
            )
        super().__init__(
            f"{label}: saw {seen:,} of {number} rows. {reason}; bound the query with an end time that lies in the past and "
            "read again. If that is not enough, narrow the query until it fits in one page, or ask for an export."
        )


class AnalyticsExportFailed(AnalyticsError):
    """An export task ended in `failed`. Attributes: `task_id`, `export_error`."""

    retry_advice = RetryAdvice.ASK_ANEW

    def __init__(self, task_id: str, error: str = "", **context: Any) -> None:
        self.task_id = task_id
        self.export_error = error
        super().__init__(
            f"export {task_id or '(no task id)'} failed: {error or 'no reason given'}. "
            "Start it again, or narrow the query.",
            **context,
        )


class AnalyticsExportTimeout(AnalyticsError, TimeoutError):
    """An export was not ready in time. Attributes: `task_id`, `timeout` (seconds)."""

    def __init__(self, task_id: str, timeout: float, **context: Any) -> None:
        self.task_id = task_id
        self.timeout = timeout
        super().__init__(
            f"export {task_id} was not ready within {timeout:g} s. It may still become ready: "
            "wait longer, or poll again with Analytics.export_task(task_id).",
            **context,
        )


class AnalyticsDownloadFailed(AnalyticsError):
    """An export's file did not arrive whole, so no file was left behind. Attributes: `task_id`, `reason`."""

    retry_advice = RetryAdvice.ASK_ANEW

    def __init__(self, task_id: str, reason: str, **context: Any) -> None:
        self.task_id = task_id
        self.reason = reason
        super().__init__(
            f"download of export {task_id or '(no task id)'} failed: {reason}. No file was written.",
            **context,
        )
