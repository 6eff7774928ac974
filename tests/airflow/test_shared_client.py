"""The client that all triggers of a connection share in one event loop."""

import asyncio

import pytest

from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from airflow_provider_vectorshift.hooks import VectorShiftHook
from tests.sdk.scripted import in_turn, serving

READY = {"status": "success", "task_id": "ex_1", "task_status": "ready"}


class Hook(VectorShiftHook):
    """The hook, which counts its look-ups and may be held up in them."""

    looked_up = 0
    held = None
    begun = None

    @classmethod
    async def aget_connection(cls, conn_id):
        cls.looked_up += 1
        if cls.held is not None:
            cls.begun.set()
            await cls.held.wait()
        return await super().aget_connection(conn_id)


@pytest.fixture
def service(connect):
    """A service that counts connections; `vectorshift_default` is an account of it."""
    Hook.looked_up, Hook.held, Hook.begun = 0, None, None
    with serving(in_turn(READY)) as service:
        connect(host=service.base_url, password="sk_first")
        yield service


def keys(service):
    """The keys that the service was asked with, in order."""
    return [each.headers["authorization"].removeprefix("Bearer ") for each in service.requests]


def test_two_hundred_triggers_share_one_client(service):
    """Started at once they cost one look-up and one pool, which bounds the requests under way."""
    clients = set()

    async def one(everybody):
        async with Hook().ashared() as client:
            clients.add(client)
            await client.aexport_task("ex_1")
            await everybody.wait()

    async def all_of_them():
        everybody = asyncio.Barrier(200)
        await asyncio.gather(*(one(everybody) for _ in range(200)))

    asyncio.run(all_of_them())
    assert (len(clients), Hook.looked_up, len(service.requests)) == (1, 1, 200)
    assert service.connections <= 16


def test_the_last_one_to_leave_closes_it(service):
    """While somebody is there the connections are kept; who comes after the last connects anew."""

    async def talk():
        async with Hook().ashared() as client:
            for _ in range(3):
                async with Hook().ashared() as other:
                    assert other is client
                    await other.aexport_task("ex_1")
            assert service.connections == 1
        async with Hook().ashared() as another:
            assert another is not client
            await another.aexport_task("ex_1")

    asyncio.run(talk())
    assert service.connections == 2
    assert Hook.looked_up == 5


def test_a_changed_connection_is_for_those_who_come_later(service, connect):
    """A new key is used by new users at once, while the old ones go on with theirs."""

    async def talk():
        async with Hook().ashared() as old:
            connect(host=service.base_url, password="sk_second")
            async with Hook().ashared() as new:
                await new.aexport_task("ex_1")
                await old.aexport_task("ex_1")
            await old.aexport_task("ex_1")

    asyncio.run(talk())
    assert keys(service) == ["sk_second", "sk_first", "sk_first"]


def test_a_cancelled_look_up_is_not_the_others(service):
    """The trigger whose look-up the others wait for may be cancelled: they get their client all the same."""

    async def one():
        async with Hook().ashared() as client:
            return await client.aexport_task("ex_1")

    async def talk():
        Hook.held, Hook.begun = asyncio.Event(), asyncio.Event()
        first, *others = [asyncio.create_task(one()) for _ in range(5)]
        await Hook.begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        Hook.held.set()
        return first.cancelled(), await asyncio.gather(*others)

    cancelled, tasks = asyncio.run(talk())
    assert cancelled
    assert [each["task_id"] for each in tasks] == ["ex_1"] * 4
    assert Hook.looked_up == 1


def test_cancelled_users_leave_the_client_to_the_others(service):
    """Whoever is cancelled in the middle of a request leaves; the last one still closes the client."""

    async def stuck(entered):
        async with Hook().ashared():
            entered.set()
            await asyncio.Event().wait()

    async def talk():
        async with Hook().ashared() as client:
            entered = [asyncio.Event() for _ in range(20)]
            users = [asyncio.create_task(stuck(each)) for each in entered]
            await asyncio.gather(*(each.wait() for each in entered))
            for each in users:
                each.cancel()
            await asyncio.gather(*users, return_exceptions=True)
            await client.aexport_task("ex_1")
            assert client._transport()._awaiting
        return client._transport()._awaiting

    assert asyncio.run(talk()) == {}


def test_event_loops_share_nothing(service):
    """Each event loop has a client of its own, also one after another."""

    async def talk():
        async with Hook().ashared() as client:
            await client.aexport_task("ex_1")
            return client

    assert asyncio.run(talk()) is not asyncio.run(talk())


def test_an_error_reaches_all_callers_and_is_not_remembered(service, connect, monkeypatch):
    """All who start at once get the sentence; after the connection was mended the next one works."""

    async def one():
        async with Hook().ashared() as client:
            return await client.aexport_task("ex_1")

    async def talk():
        connect(host=service.base_url, password="sk_first", extra={"retries": -1})
        reported = await asyncio.gather(*(one() for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in reported] == [VectorShiftConnectionError] * 3
        assert Hook.looked_up == 1
        monkeypatch.delenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT")
        with pytest.raises(VectorShiftConnectionError, match="does not exist"):
            await one()
        connect(host="no address", password="sk_first")
        with pytest.raises(VectorShiftConnectionError, match="base URL"):
            await one()
        connect(host=service.base_url, password="sk_first")
        return await one()

    assert asyncio.run(talk())["task_id"] == "ex_1"
