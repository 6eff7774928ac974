"""The VectorShift Analytics SDK.

    import vectorshift
    from vectorshift import Analytics

    vectorshift.api_key = "sk_..."          # or the environment variable VECTORSHIFT_API_KEY
    Analytics.query(object_type="pipeline").count()

Names load when they are first used, so importing this package is cheap.
"""

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from vectorshift._client import Client as Client
    from vectorshift._retry import Retry as Retry
    from vectorshift._settings import (
        DEFAULT_BASE_URL as DEFAULT_BASE_URL,
        TimePrecision as TimePrecision,
    )
    from vectorshift.analytics import Analytics as Analytics
    from vectorshift.analytics._downloads import Download as Download
    from vectorshift.errors import (
        AnalyticsDownloadFailed as AnalyticsDownloadFailed,
        AnalyticsError as AnalyticsError,
        AnalyticsExportFailed as AnalyticsExportFailed,
        AnalyticsExportTimeout as AnalyticsExportTimeout,
        AnalyticsIncomplete as AnalyticsIncomplete,
        AnalyticsInvalidQuery as AnalyticsInvalidQuery,
        AnalyticsNotFound as AnalyticsNotFound,
        AnalyticsRequestFailed as AnalyticsRequestFailed,
        ApiConnectionError as ApiConnectionError,
        ApiStatusError as ApiStatusError,
        ApiTimeoutError as ApiTimeoutError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        ConfigurationError as ConfigurationError,
        InternalServerError as InternalServerError,
        InvalidResponseError as InvalidResponseError,
        MissingApiKeyError as MissingApiKeyError,
        NotFoundError as NotFoundError,
        PermissionDeniedError as PermissionDeniedError,
        RateLimitError as RateLimitError,
        UnprocessableEntityError as UnprocessableEntityError,
        VectorshiftApiError as VectorshiftApiError,
        VectorshiftError as VectorshiftError,
    )
    from vectorshift.resources import (
        Agent as Agent,
        Bulkjob as Bulkjob,
        Chatbot as Chatbot,
        Form as Form,
        Pipeline as Pipeline,
        Portal as Portal,
        Search as Search,
        Session as Session,
        Voicebot as Voicebot,
    )

api_key: str | None = None
base_url: str | None = None

_HOMES = {
    "_client": ("Client",),
    "_retry": ("Retry",),
    "_settings": ("DEFAULT_BASE_URL", "TimePrecision"),
    "analytics": ("Analytics",),
    "analytics._downloads": ("Download",),
    "errors": (
        "AnalyticsDownloadFailed",
        "AnalyticsError",
        "AnalyticsExportFailed",
        "AnalyticsExportTimeout",
        "AnalyticsIncomplete",
        "AnalyticsInvalidQuery",
        "AnalyticsNotFound",
        "AnalyticsRequestFailed",
        "ApiConnectionError",
        "ApiStatusError",
        "ApiTimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "ConfigurationError",
        "InternalServerError",
        "InvalidResponseError",
        "MissingApiKeyError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitError",
        "UnprocessableEntityError",
        "VectorshiftApiError",
        "VectorshiftError",
    ),
    "resources": (
        "Agent",
        "Bulkjob",
        "Chatbot",
        "Form",
        "Pipeline",
        "Portal",
        "Search",
        "Session",
        "Voicebot",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["api_key", "base_url", *sorted(_HOME)]  # names are text


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module 'vectorshift' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"vectorshift.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
