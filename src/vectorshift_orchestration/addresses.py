"""What addresses keep secret: the password before the host, and values of the query such as a signature.

Paths, URIs and connection strings are repeated in messages, results and metadata. What is secret in them
is not, in our own text or in the message of a driver.
"""

from __future__ import annotations

import re
import traceback
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from vectorshift.errors import redact

SECRET_NAME = r"[\w.-]*(?:pass|pwd|secret|key|token|sig|sas|connection_string|credential)[\w.-]*"

_PASSWORD = re.compile(r"(:/{2,3}[^\s/:@]*):([^\s/]*|(?!\d*/)\S*?)@")
_QUERY = re.compile(rf"([?&;]{SECRET_NAME}=)([^\s&;#'\"]+)", re.IGNORECASE)
_SETTING = re.compile(
    r"\b((?:password|passwd|pwd)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s;']+)", re.IGNORECASE
)
_SHORTEST = 4


def without_secrets(text: str) -> str:
    """The text without what is secret in the addresses in it: `sftp://user@host/path?token=***`."""
    return _SETTING.sub(r"\1***", _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1@", text)))


def secrets_of(address: str) -> tuple[str, ...]:
    """What is secret in an address, in each form that a driver may repeat it in."""
    matches = (each[2] for kind in (_PASSWORD, _QUERY, _SETTING) for each in kind.finditer(address))
    return forms(*(each.strip("'") for each in matches))


def forms(*secrets: str) -> tuple[str, ...]:
    """The secrets as they are and percent-encoded; those too short to distinguish from other text are left out."""
    return tuple(
        form
        for secret in secrets
        if len(secret) >= _SHORTEST
        for form in {secret: 0, unquote(secret): 0, quote(secret, safe=""): 0}
    )


def redacted(message: object, *secrets: str) -> str:
    """A driver's message without the secrets and without those of any address in it."""
    return without_secrets(redact(str(message), *secrets))


def cause(problem: Exception, *secrets: str) -> Exception | None:
    """What an error may name as its cause: the problem, unless its traceback would reveal a secret."""
    text = "".join(traceback.format_exception(problem))
    return problem if redacted(text, *secrets) == text else None


def export_url(base_url: str, export_id: str) -> str:
    """The address of an export in the API, without any credential that the base URL may hold."""
    path = urlsplit(base_url).path.rstrip("/")
    return f"{account_host(base_url)}{path}/analytics/exports/{quote(export_id, safe='')}"


def account_host(base_url: str) -> str:
    """Scheme, host and port of the service, without any credential."""
    address = urlsplit(base_url)
    return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], "", "", ""))
