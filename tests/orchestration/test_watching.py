"""Waiting in an event loop for a breach and for an export, without any orchestrator."""

import logging
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from vectorshift_orchestration import Absolute, Window
from vectorshift_orchestration.exports.events import until_ready
from vectorshift_orchestration.watching import until_breached

LOG = logging.getLogger(__name__)
DAY = Window.day(datetime(2026, 11, 22, tzinfo=UTC).date())

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened(client):
    """What gives the account's client, and leaves it open for the test."""

    @asynccontextmanager
    async def lent():
        yield client

    return lent


async def breached(opened, rule, seconds=5.0):
    return await until_breached(
        opened,
        None,
        rule,
        lambda: DAY,
        deadline=time.time() + seconds,
        interval=0.01,
        log=LOG,
    )


async def ready(opened, export_id, seconds=5.0):
    return await until_ready(
        opened, export_id, deadline=time.time() + seconds, intervals=[0.01] * 1000, log=LOG
    )


async def test_a_breach_ends_the_wait_with_its_verdict(blank, client, opened):
    """The verdict has what was observed, and why the runs failed."""
    blank.burst(3, at=DAY.start + timedelta(hours=12), error_message="quota")
    async with client:
        reported = await breached(opened, Absolute(metric="errors.sum", error=2).to_dict())
    assert (reported["status"], reported["error"]) == ("breached", "")
    assert reported["verdict"]["observed"] == 3
    assert reported["verdict"]["top_errors"] == [{"message": "quota", "count": 3}]


async def test_without_a_breach_the_deadline_ends_the_wait(client, opened):
    """There is one look at least, also where the deadline has passed before it."""
    async with client:
        reported = await breached(opened, Absolute(metric="errors.sum", error=2).to_dict(), -1.0)
    assert reported == {"status": "timeout", "verdict": None, "error": ""}


async def test_an_impossible_request_ends_the_wait_at_once(client, opened):
    """A rule that no window can answer is not waited out."""
    async with client:
        reported = await breached(opened, {"rule": "absolute", "metric": "nope.sum", "error": 1})
    assert (reported["status"], reported["verdict"]) == ("refused", None)
    assert "nope" in reported["error"]


async def test_an_export_is_waited_for(client, opened):
    """One that is ready is reported without its address, and one that nobody requested is missing."""
    task = client.query().export("CSV", "events.csv")
    async with client:
        reported = await ready(opened, task["task_id"])
        unknown = await ready(opened, "no-such-task")
        empty = await ready(opened, " ")
    assert reported == {"status": "ready", "export_id": task["task_id"], "error": ""}
    assert (unknown["status"], empty["status"]) == ("missing", "refused")
