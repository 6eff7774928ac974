"""The settings of a client, each checked when the client is built, before anything is sent.

Every function returns the value to use, or raises `ConfigurationError` with one sentence.
"""

import math
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

DEFAULT_BASE_URL = "https://api.vectorshift.ai/v1"

TimePrecision: TypeAlias = Literal["us", "ms", "s"]
"""How finely a service compares the times of a request: to the microsecond, the millisecond, or only to the second."""


def of_the_process(name: str) -> Any:
    """Return `vectorshift.<name>`, or else the environment variable VECTORSHIFT_<NAME>; None where neither is set."""
    assigned = getattr(sys.modules["vectorshift"], name)  # loaded by then: this module lies in it
    return assigned or os.environ.get(f"VECTORSHIFT_{name.upper()}")


def key(value: Any) -> str:
    """Return an API key that a header can carry."""
    if (
        not isinstance(value, str)
        or not value.strip()
        or not value.isascii()
        or any(c.isspace() for c in value.strip())
    ):
        raise ConfigurationError(
            "the API key must be ASCII text without spaces; check for quotes, spaces and line breaks."
        )
    return value.strip()


def url(value: Any, source: str = "") -> str:
    """Return the API's address, without a slash at its end; `source` is where it was read."""
    try:
        parts = urlsplit(value)
        plain = not (parts.username or parts.query or parts.fragment or parts.port == 0)
        if plain and parts.scheme in ("http", "https") and parts.hostname:
            return str(value).strip().rstrip("/")
    except (ValueError, TypeError, AttributeError):
        pass  # a port or an IPv6 address that is none, or no text at all
    # The address itself is not repeated: it may hold a password.
    raise ConfigurationError(
        "the base URL must look like https://host/v1, without user name, query or fragment"
        + (f"; check {source}." if source else ".")
    )


def seconds(value: Any, name: str) -> float:
    """Return a duration above 0."""
    if not _is_number(value) or value <= 0:
        raise ConfigurationError(f"{name} must be a number of seconds above 0, not {value!r}.")
    return float(value)


def connections(value: Any) -> int:
    """Return how many requests may run at once."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"max_connections must be a whole number of 1 or more, not {value!r}."
        )
    return value


def rate(value: Any) -> float:
    """Return the most requests per second; None means no limit, as infinity."""
    if value is None:
        return math.inf
    if not _is_number(value) or value <= 0:
        raise ConfigurationError(
            f"rate_limit must be a number of requests per second above 0, not {value!r}."
        )
    return float(value)


def switch(value: Any, name: str) -> bool:
    """Return whether something is wanted."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}.")
    return value


def precision(value: Any) -> TimePrecision | None:
    """Return how finely the service compares times; None is not known."""
    if value is None or value in get_args(TimePrecision):
        parsed: TimePrecision | None = value
        return parsed
    raise ConfigurationError(
        f"time_precision must be 'us', 'ms', 's', or None to find it out, not {value!r}."
    )


def trust(value: Any) -> "ssl.SSLContext | None":
    """Return whom to believe: None is the usual authorities, a path is a bundle of others in their place."""
    if value is True:
        return None
    if value is False:
        raise ConfigurationError(
            "verify=False would send the key to anybody: give the path of a CA bundle (PEM) that "
            "holds the authority of your server."
        )
    import ssl

    if isinstance(value, ssl.SSLContext):
        if value.verify_mode is not ssl.CERT_REQUIRED or not value.check_hostname:
            raise ConfigurationError(
                "verify got an SSLContext that does not check certificates and host names: give "
                "one that does, or the path of a CA bundle (PEM)."
            )
        return value
    try:
        return ssl.create_default_context(cafile=os.fspath(value))
    except TypeError:
        problem = f"not {value!r}"
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = f"and {os.fspath(value)!r} cannot be read as one ({error})"
    raise ConfigurationError(
        f"verify must be True or the path of a CA bundle, a file of PEM certificates, {problem}."
    )


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) < 1e300  # a larger int does not fit a float
