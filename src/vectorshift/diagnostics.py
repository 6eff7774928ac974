"""What a client meets on its way: the address that it speaks to, a proxy in between, the service's clock."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from vectorshift._account import Account
    from vectorshift._calls import Call, Flow, Reply


def address(client: Account) -> str:
    """The API's address that the client's calls go to. Raises `ConfigurationError` for one that cannot be used."""
    return client._address().base_url


def proxy(client: Account) -> str | None:
    """Host and port of the proxy that calls go through, without a password; None where they go directly.

    Raises `ConfigurationError` for a variable of the environment that cannot be read.
    """
    from vectorshift._transport.environment import proxy_for

    proxy_url = proxy_for(address(client))
    if proxy_url is None:
        return None
    parts = urlsplit(proxy_url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def clock_lead(client: Account) -> float | None:
    """Seconds by which this machine's clock is ahead of the service's, which tells its own in whole ones.

    It is one request, for one event. None where the answer has no time. Raises the SDK's errors.
    """
    return client._run(_clock_lead())


def _clock_lead() -> Flow[float | None]:
    from vectorshift._calls import ask
    from vectorshift.analytics import _requests as requests
    from vectorshift.analytics._plan import plan
    from vectorshift.analytics._spec import Spec

    return (yield from ask(requests.search(plan(Spec(), "search"), 1, 0), _lead))


def _lead(data: Any, call: Call, reply: Reply) -> float | None:
    try:
        sent_at = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    return reply.wall - sent_at.timestamp()
