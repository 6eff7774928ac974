"""The VectorShift Analytics SDK.

    import vectorshift
    from vectorshift import Analytics

    vectorshift.api_key = "sk_..."          # or the environment variable VECTORSHIFT_API_KEY
    Analytics.query(object_type="pipeline").count()

Names load when they are first used, so importing this package is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorshift._client import Client as Client
    from vectorshift._retry import Retry as Retry
    from vectorshift.analytics import Analytics as Analytics
    from vectorshift.downloads import Download as Download
    from vectorshift.errors import (
        AnalyticsDownloadFailed as AnalyticsDownloadFailed,
    )
    from vectorshift.errors import (
        AnalyticsError as AnalyticsError,
    )
    from vectorshift.errors import (
        AnalyticsExportFailed as AnalyticsExportFailed,
    )
    from vectorshift.errors import (
        AnalyticsExportTimeout as AnalyticsExportTimeout,
    )
    from vectorshift.errors import (
        AnalyticsIncomplete as AnalyticsIncomplete,
    )
    from vectorshift.errors import (
        AnalyticsInvalidQuery as AnalyticsInvalidQuery,
    )
    from vectorshift.errors import (
        AnalyticsNotFound as AnalyticsNotFound,
    )
    from vectorshift.errors import (
        AnalyticsRequestFailed as AnalyticsRequestFailed,
    )
    from vectorshift.errors import (
        ApiConnectionError as ApiConnectionError,
    )
    from vectorshift.errors import (
        ApiStatusError as ApiStatusError,
    )
    from vectorshift.errors import (
        ApiTimeoutError as ApiTimeoutError,
    )
    from vectorshift.errors import (
        AuthenticationError as AuthenticationError,
    )
    from vectorshift.errors import (
        BadRequestError as BadRequestError,
    )
    from vectorshift.errors import (
        ConfigurationError as ConfigurationError,
    )
    from vectorshift.errors import (
        InternalServerError as InternalServerError,
    )
    from vectorshift.errors import (
        InvalidResponseError as InvalidResponseError,
    )
    from vectorshift.errors import (
        MissingApiKeyError as MissingApiKeyError,
    )
    from vectorshift.errors import (
        NotFoundError as NotFoundError,
    )
    from vectorshift.errors import (
        PermissionDeniedError as PermissionDeniedError,
    )
    from vectorshift.errors import (
        RateLimitError as RateLimitError,
    )
    from vectorshift.errors import (
        UnprocessableEntityError as UnprocessableEntityError,
    )
    from vectorshift.errors import (
        VectorshiftApiError as VectorshiftApiError,
    )
    from vectorshift.errors import (
        VectorshiftError as VectorshiftError,
    )
    from vectorshift.resources import (
        Agent as Agent,
    )
    from vectorshift.resources import (
        Bulkjob as Bulkjob,
    )
    from vectorshift.resources import (
        Chatbot as Chatbot,
    )
    from vectorshift.resources import (
        Form as Form,
    )
    from vectorshift.resources import (
        Pipeline as Pipeline,
    )
    from vectorshift.resources import (
        Portal as Portal,
    )
    from vectorshift.resources import (
        Search as Search,
    )
    from vectorshift.resources import (
        Session as Session,
    )
    from vectorshift.resources import (
        Voicebot as Voicebot,
    )

api_key: str | None = None
base_url: str | None = None

_HOMES = {
    "_client": ("Client",),
    "_retry": ("Retry",),
    "analytics": ("Analytics",),
    "downloads": ("Download",),
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vectorshift' has no attribute {name!r}")
    return getattr(import_module(f"vectorshift.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
