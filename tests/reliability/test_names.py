"""The name of the service is not found, for a while or for good: the right value, or a typed error within the tries."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.sdk.ways import WAYS, way
from vectorshift import ApiConnectionError, Client, Retry

__all__ = ["way"]

PROBLEMS = [socket.EAI_AGAIN, socket.EAI_NONAME]
NAME = "vectorshift.test"


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_a_name_that_is_not_found(way, service, problem, monkeypatch):
    """Found at the third try, the call has its value; never found, it ends with as many tries as were allowed."""
    real, failures = socket.getaddrinfo, []

    def getaddrinfo(host, *arguments, **options):
        if host not in (NAME, NAME.encode()):
            return real(host, *arguments, **options)
        if len(failures) < most:
            failures.append(host)
            raise socket.gaierror(problem, "no such name")
        return real("127.0.0.1", *arguments, **options)

    async def count():
        retry = Retry(attempts=3, first_wait=0.0)
        base_url = service.base_url.replace("127.0.0.1", NAME)
        async with Client(service.api_key, base_url, retry=retry) as client:
            query = client.query()
            return await query.acount() if way.is_awaiting else query.count()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    most = 0
    expected = asyncio.run(count())
    most = 2
    assert asyncio.run(count()) == expected
    assert len(failures) == 2
    failures.clear()
    most = 1000
    with pytest.raises(ApiConnectionError):
        asyncio.run(count())
    assert len(failures) == 3
