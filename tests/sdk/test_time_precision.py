"""How finely a service compares times: found out once for a client, or told to it."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from vectorshift import Client, ConfigurationError, PermissionDeniedError
from vectorshift.analytics import EventField, FieldFilter
from vectorshift_emulator import serve

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
AT = EventField.EVENT_START_TIME
MODES = ["closed", "open", "half-open", "open-closed"]


@pytest.fixture(scope="module")
def session():
    with serve(events=0) as emulator:
        yield emulator


@pytest.fixture
def service(session):
    """A service without events; what a test inserts is gone after it."""
    session.reset()
    session.reset_counters()
    yield session
    session.reset()


@pytest.fixture
def client(service):
    with Client(service.api_key, service.base_url) as client:
        yield client


def hour(client):
    """Every event of one hour, whatever else is asked of them."""
    end = START + timedelta(hours=1)
    return client.query().where(
        FieldFilter.gte(AT, START), FieldFilter.lt(AT, end), status="failure"
    )


def insert(service, *seconds):
    service.insert([{"start_time": f"2026-03-01T10:00:{text}Z"} for text in seconds])


@pytest.mark.parametrize(("precision", "mode"), list(product(["us", "ms", "s"], MODES)))
@pytest.mark.parametrize("clock", ["ms", "us", "ns"])
def test_what_is_measured(service, client, clock, precision, mode):
    """What is said is never finer than what is kept, under every strictness and every clock.

    Whole bounds of a finer clock are good to the millisecond; a bound cut to a millisecond is good
    between two ticks where only its upper end is inclusive, since the cut then goes down to a tick.
    """
    service.settings(clock=clock, bound_precision=precision, bounds=mode)
    insert(service, {"ms": "07.250", "us": "07.250125", "ns": "07.250125500"}[clock])
    expected = {"us": "us" if clock == "ms" else "ms", "ms": "ms", "s": "s"}[precision]
    if (clock, precision, mode) == ("ms", "ms", "open-closed"):
        expected = "us"
    assert hour(client).time_precision() == expected


def test_it_is_measured_once(service, client, caplog):
    """The second question is answered by the first one's answer, and one line of the log tells of it."""
    insert(service, "07.250")
    with caplog.at_level(logging.INFO, "vectorshift"):
        assert [hour(client).time_precision() for _ in range(3)] == ["us"] * 3
    assert service.counters()["requests"] == {"search": 1, "count": 3}
    assert [record.message for record in caplog.records if "compares" in record.message] == [
        "The service compares times to the microsecond. Window bounds are sent accordingly; "
        "Client(time_precision='us') saves finding it out."
    ]


def test_threads_find_it_together(service, client):
    """Those who ask meanwhile wait for the first one's answer."""
    insert(service, "07.250")
    result = []
    threads = [
        threading.Thread(target=lambda: result.append(hour(client).time_precision()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert result == ["us"] * 8
    assert service.counters()["requests"] == {"search": 1, "count": 3}


@pytest.mark.anyio
async def test_awaiting_finds_the_same(service):
    """The awaiting twin asks the same, of a query and of an awaiting query."""
    insert(service, "07.250")
    service.settings(bound_precision="ms", bounds="closed")
    async with Client(service.api_key, service.base_url) as client:
        assert await hour(client).atime_precision() == "ms"
        assert await client.aquery().time_precision() == "ms"


@pytest.mark.parametrize("told", ["us", "ms", "s"])
def test_a_setting_is_not_probed(service, told):
    """A client that was given the precision does not look for it."""
    insert(service, "07.250")
    with Client(service.api_key, service.base_url, time_precision=told) as client:
        assert hour(client).time_precision() == told
    assert service.counters()["requests"] == {}


@pytest.mark.parametrize("told", ["µs", "", 3, ["ms"]])
def test_a_precision_that_does_not_exist_is_refused(told):
    """What can be told is said, before anything is sent."""
    with pytest.raises(ConfigurationError, match="'us', 'ms', 's'"):
        Client("sk_x", time_precision=told)


def test_nothing_to_find_it_out_by(service, client):
    """Without an event there is no answer, and the next question looks again."""
    assert hour(client).time_precision() is None
    insert(service, "07.250")
    assert hour(client).time_precision() == "us"


def test_events_that_prove_too_little(service, client):
    """Events on whole seconds show seconds: for now where there are few, for good where there are many."""
    insert(service, "00.000")
    assert hour(client).time_precision() == "s"
    insert(service, "07.250")
    assert hour(client).time_precision() == "us"


def test_a_clock_of_seconds(service, client):
    """Many events, and all on whole seconds, are those of a clock of seconds."""
    insert(service, *(f"{second:02d}.000" for second in range(20)))
    assert [hour(client).time_precision() for _ in range(2)] == ["s", "s"]
    assert service.counters()["requests"] == {"search": 1}


def test_a_failure_is_not_remembered(service, client):
    """An error while it is found out is raised, and the next question begins anew."""
    insert(service, "07.250")
    service.fault("count", "status", code=403)
    with pytest.raises(PermissionDeniedError):
        hour(client).time_precision()
    assert hour(client).time_precision() == "us"


def test_a_service_that_refuses_the_counts(service, client):
    """Conditions that the service does not take show nothing, and whole seconds are safe."""
    insert(service, "07.250")
    service.fault("count", "status", code=400)
    assert [hour(client).time_precision() for _ in range(2)] == ["s", "s"]
