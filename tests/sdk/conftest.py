"""One emulator for the session, the default account pointing at it, and clients that do not wait long."""

import socket
from datetime import UTC, datetime

import pytest

from tests.sdk.scripted import serving
from vectorshift import Client, Retry
from vectorshift.analytics import EventField, FieldFilter

IMPATIENT = Retry(first_wait=0.001, longest_wait=0.002)
SINCE = FieldFilter.gte(EventField.EVENT_START_TIME, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.fixture
def anyio_backend():
    """Awaiting tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def emulator(vectorshift_emulator, monkeypatch):
    """The session's emulator, as the default account; what a test does to it is undone."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", vectorshift_emulator.api_key)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", vectorshift_emulator.base_url)
    vectorshift_emulator.reset_counters()
    return vectorshift_emulator


@pytest.fixture
def client(emulator):
    """A client of the emulator that tries again at once."""
    with Client(emulator.api_key, emulator.base_url, retry=IMPATIENT) as client:
        yield client


@pytest.fixture(scope="session")
def scripted_service():
    """One scripted service for the session."""
    with serving({}) as service:
        yield service


@pytest.fixture
def service(scripted_service):
    """A scripted service: assign `service.script`; unscripted, it answers {"status": "success"}."""
    scripted_service.begin({"status": "success"})
    yield scripted_service
    scripted_service.ended.set()


@pytest.fixture
def scripted(service):
    """A client of the scripted service that tries again at once."""
    with Client("sk_test_key", service.base_url, retry=IMPATIENT) as client:
        yield client


@pytest.fixture
def truth(emulator):
    """The one value of a SELECT over the emulator's events."""

    def value(sql):
        [row] = emulator.truth(sql)
        return next(iter(row.values()))

    return value


class Names:
    """Names of the test's own: each look-up of one takes its next answer, the last one again and again."""

    def __init__(self, resolve):
        self.resolve = resolve
        self.answers = {}
        self.asked = []

    def look_up(self, host, *rest, **options):
        self.asked.append(host)
        left = self.answers.get(host)
        if left is None:
            return self.resolve(host, *rest, **options)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [each for address in found for each in self.resolve(address, *rest, **options)]


@pytest.fixture
def names(monkeypatch):
    """The process's resolver, which knows the test's names: `names.answers[name]` is a list of lists of addresses."""
    names = Names(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    return names
