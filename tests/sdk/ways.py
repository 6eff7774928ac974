"""The wires, and how a test's calls reach each of them."""

import asyncio
from dataclasses import dataclass

import pytest

from vectorshift import Client, Retry
from vectorshift._transport import choice

ONCE = Retry(attempts=1)


@dataclass(frozen=True)
class Way:
    """One of the wires, and how calls reach it."""

    library: str
    is_awaiting: bool

    def client(self, base_url, **settings):
        return Client("sk_test_key", base_url, **{"retry": ONCE, **settings})

    def each(self, client, *asked):
        """The outcomes of one call after the other, in one event loop where they await; errors are outcomes."""
        if self.is_awaiting:
            return asyncio.run(self._awaited(client, asked))
        return [self._outcome(client, name, arguments) for name, *arguments in asked]

    def _outcome(self, client, name, arguments):
        try:
            return getattr(client if arguments else client.query(), name)(*arguments)
        except Exception as error:  # noqa: BLE001  # the outcome
            return error

    async def _awaited(self, client, asked):
        found = []
        async with client:
            for name, *arguments in asked:
                try:
                    on = client if arguments else client.query()
                    found.append(await getattr(on, f"a{name}")(*arguments))
                except Exception as error:  # noqa: BLE001  # the outcome
                    found.append(error)
        return found

    def count(self, base_url, **settings):
        """The outcome of one count by a client of its own."""
        with self.client(base_url, **settings) as client:
            return self.each(client, ("count",))[0]


WAYS = {
    "kept": Way("httptools", False),
    "httpx": Way("httpx", False),
    "kept awaiting": Way("httptools", True),
    "httpx awaiting": Way("httpx", True),
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each wire in turn; httpx as if a setting required it."""
    found = WAYS[request.param]
    if found.library == "httpx":
        asked_for = choice.Choice("httpx", "the test asks for it")
        monkeypatch.setattr(choice, "_needs_httpx", lambda base_url, proxy: asked_for)
    choice.wire.cache_clear()
    assert choice.wire("http://127.0.0.1/v1", None).library == found.library
    yield found
    choice.wire.cache_clear()
