"""Waiting for an export: what the service may say about it, and how each of it ends."""

import asyncio
import json
import threading
import time
from itertools import islice

import pytest

from tests.sdk.conftest import SINCE
from tests.sdk.scripted import Answer, in_turn
from vectorshift import (
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    AnalyticsNotFound,
    ApiTimeoutError,
    Client,
    InternalServerError,
    NotFoundError,
    Retry,
)
from vectorshift._calls import Pause, Reply
from vectorshift.analytics import _flows as flows
from vectorshift.analytics._spec import Spec
from vectorshift.export_tasks import export_state, poll_intervals, task_state

URL = "http://127.0.0.1:9/file"
PENDING = {"status": "success", "task_id": "ex_1", "task_status": "pending"}
READY = PENDING | {"task_status": "ready", "download_url": URL}
NO_URL = PENDING | {"task_status": "ready"}
FAILED = PENDING | {"task_status": "failed", "error": "disk full"}
CAMEL = {"status": "success", "taskId": "ex_1", "taskStatus": "READY", "downloadUrl": URL}
OLD = {"status": "ready", "task_id": "ex_1", "download_url": URL}


@pytest.fixture(params=["blocking", "awaiting"])
def wait(request, scripted):
    """export_and_wait of the scripted client, in both ways."""

    def call(timeout=5.0, poll_interval=0.001):
        query = scripted.query()
        arguments = {"timeout": timeout, "poll_interval": poll_interval}
        if request.param == "blocking":
            return query.export_and_wait("CSV", "a.csv", **arguments)
        return asyncio.run(query.aexport_and_wait("CSV", "a.csv", **arguments))

    return call


def paths(service):
    """What was asked, in order."""
    return [f"{request.method} {request.path}" for request in service.requests]


@pytest.mark.parametrize(
    "created", [READY, CAMEL, OLD, {"download_url": URL}], ids=["snake", "camel", "old", "bare"]
)
def test_a_create_reply_with_a_url_is_never_polled(wait, service, created):
    """An export that is ready at once takes one request."""
    service.script = in_turn(created)
    task = wait(timeout=0)
    assert task["download_url"] == URL
    assert (task["format"], task["file_name"]) == ("CSV", "a.csv")
    assert paths(service) == ["POST /analytics/exports"]


@pytest.mark.parametrize("ready", [READY, CAMEL, OLD], ids=["snake", "camel", "old"])
def test_a_pending_export_is_polled_until_ready(wait, service, ready):
    """Pending, ready without a URL, pending again and unknown states are waited through."""
    odd = PENDING | {"task_status": "resting"}
    service.script = in_turn(PENDING, PENDING, NO_URL, PENDING, odd, ready)
    assert wait()["download_url"] == URL
    assert paths(service) == ["POST /analytics/exports", *["GET /analytics/exports/ex_1"] * 5]


@pytest.mark.parametrize("answers", [[FAILED], [PENDING, FAILED], [PENDING, PENDING, FAILED]])
def test_a_failed_export_raises(wait, service, answers):
    """A task that ends in failed raises with its id, the service's reason and the request that told it."""
    service.script = in_turn(*answers)
    with pytest.raises(
        AnalyticsExportFailed, match=r"ex_1 failed: disk full.*Start it again"
    ) as caught:
        wait()
    assert (caught.value.task_id, caught.value.export_error) == ("ex_1", "disk full")
    assert caught.value.endpoint == (
        "/analytics/exports" if len(answers) == 1 else "/analytics/exports/{task_id}"
    )


def test_timeout_zero_raises_at_once(wait, service):
    """timeout=0 starts the export, does not look, and says how to look later."""
    service.script = in_turn(PENDING)
    with pytest.raises(AnalyticsExportTimeout, match="export_task") as caught:
        wait(timeout=0)
    assert (caught.value.task_id, caught.value.timeout) == ("ex_1", 0)
    assert isinstance(caught.value, TimeoutError)
    assert paths(service) == ["POST /analytics/exports"]


@pytest.mark.parametrize("state", [PENDING, NO_URL], ids=["pending", "ready without url"])
def test_an_export_that_is_never_ready_times_out(wait, service, state):
    """The wait ends at the deadline, not an interval later, whatever the interval is."""
    service.script = in_turn(state)
    began = time.monotonic()
    with pytest.raises(AnalyticsExportTimeout):
        wait(timeout=0.1, poll_interval=60)
    assert 0.1 <= time.monotonic() - began < 1.1


def test_a_poll_that_hangs_ends_at_the_deadline(wait, service):
    """A poll that is never answered does not outlast the timeout."""
    service.script = in_turn(PENDING, Answer(raw=service.silence()))
    began = time.monotonic()
    with pytest.raises(AnalyticsExportTimeout):
        wait(timeout=0.1)
    assert time.monotonic() - began < 1.1


def test_an_export_without_id_or_url_fails(wait, service):
    """A creation that names neither a task nor a URL cannot be waited for."""
    service.script = in_turn({"status": "success", "task_status": "pending"})
    with pytest.raises(AnalyticsExportFailed, match="neither a task id nor a download URL"):
        wait()


def test_a_missing_poll_route_is_not_found(wait, service):
    """HTTP 404 on the poll route is both AnalyticsNotFound and NotFoundError, and is not repeated."""
    service.script = in_turn(PENDING, Answer({"error": "no such route"}, 404))
    with pytest.raises(
        AnalyticsNotFound, match=r"export task ex_1 not found.*no such route"
    ) as caught:
        wait()
    assert isinstance(caught.value, NotFoundError)
    assert caught.value.status_code == 404
    assert len(service.requests) == 2


def test_an_unknown_task_reported_with_200_is_not_found(wait, service):
    """200 with status "failed" and no task is the same."""
    service.script = in_turn(PENDING, {"status": "failed", "error": "export task not found"})
    with pytest.raises(AnalyticsNotFound, match="export task not found"):
        wait()


def test_passing_failures_of_a_poll_are_not_seen(wait, service):
    """A look is tried again like any other call; a lasting failure is reported as what it is."""
    service.script = in_turn(PENDING, Answer({}, 500), Answer({}, 503), READY)
    assert wait()["download_url"] == URL
    service.script = in_turn(PENDING, Answer({"error": "broken"}, 500))
    with pytest.raises(InternalServerError, match=r"GET /analytics/exports/\{task_id\}.*broken"):
        wait()


def waits(flow, reply):
    """The pauses of a flow to which the service always answers the same, until it raises."""
    now, step = 0.0, next(flow)
    while True:
        if isinstance(step, Pause):
            now += step.seconds
            yield step.seconds
        step = flow.send(now if isinstance(step, Pause) else reply)


def test_polls_become_rarer():
    """The wait between looks grows from poll_interval to five times that; the last one ends at the deadline."""
    flow = flows.export_and_wait(Spec(), "CSV", "a.csv", timeout=30, poll_interval=1)
    seen = []
    with pytest.raises(AnalyticsExportTimeout):
        seen.extend(waits(flow, Reply(200, json.dumps(PENDING).encode())))
    assert [each for each in seen if each] == [1, 1.5, 2.25, 3.375, 5, 5, 5, 5, 1.875]


# --- the emulator's modes ----------------------------------------------------------------------


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_mode_async(client, emulator, format):
    """Pending first, then ready: the task ends with a URL and is the same when looked at again."""
    emulator.settings(export_delay=0.05)
    task = client.query(object_type="form").export_and_wait(
        format, "f", timeout=20, poll_interval=0.02
    )
    assert task["task_status"] == "ready"
    assert client.export_task(task["task_id"])["task_status"] == "ready"
    assert emulator.counters()["exports_created"] == 1


def test_mode_sync(client, emulator):
    """The creation is ready: no look at all."""
    emulator.settings(export_mode="sync")
    assert client.query().where(SINCE).export_and_wait("CSV", "a.csv", timeout=0)["download_url"]
    assert emulator.counters()["polls"] == 0


def test_mode_no_poll(client, emulator):
    """Without a poll route a pending export is AnalyticsNotFound; nothing is created twice."""
    emulator.settings(export_mode="no-poll")
    task = client.query().export("CSV", "a.csv")
    if not task.get("download_url"):
        with pytest.raises(AnalyticsNotFound):
            client.query().export_and_wait("CSV", "a.csv", timeout=5, poll_interval=0.01)
    with pytest.raises(AnalyticsNotFound):
        client.export_task(task["task_id"])


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("task_failed", AnalyticsExportFailed),
        ("never_ready", AnalyticsExportTimeout),
        ("ready_without_url", AnalyticsExportTimeout),
    ],
)
def test_faults_of_the_emulator(client, emulator, kind, error):
    """What the emulator can do to a task ends in the error of its kind."""
    emulator.fault("export_poll", kind, times=0)
    with pytest.raises(error):
        client.query().export_and_wait("CSV", "a.csv", timeout=0.15, poll_interval=0.02)


def test_a_cancelled_wait_ends_at_once(scripted, service):
    """Cancelling an awaiting wait ends it, and the client works on."""
    requested = threading.Event()

    def pending(_):
        requested.set()
        return Answer(PENDING)

    service.script = pending

    async def cancelled():
        waiting = asyncio.ensure_future(
            scripted.query().aexport_and_wait("CSV", "a.csv", timeout=60, poll_interval=30)
        )
        await asyncio.to_thread(requested.wait)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return waiting.cancelled(), await scripted.aexport_task("ex_1")

    assert asyncio.run(cancelled()) == (True, PENDING)


def test_retries_of_a_poll_end_with_its_own_time(service):
    """export_task(timeout=) caps one look with all its retries."""
    service.script = in_turn(Answer({}, 503))
    with Client("sk_x", service.base_url, retry=Retry(attempts=99, first_wait=0.05)) as client:
        began = time.monotonic()
        with pytest.raises((InternalServerError, ApiTimeoutError)):
            client.export_task("ex_1", timeout=0.2)
        assert time.monotonic() - began < 1.2


STATES = [
    ({"task_status": "failed"}, "failed"),
    ({"task_status": "failed", "download_url": URL}, "failed"),
    ({"task_status": "ready", "download_url": URL}, "ready"),
    ({"download_url": URL}, "ready"),
    ({"task_status": "resting", "download_url": URL}, "ready"),
    ({"task_status": "ready"}, "pending"),
    ({"task_status": "ready", "download_url": ""}, "pending"),
    ({"task_status": "resting"}, "pending"),
    ({}, "pending"),
]


@pytest.mark.parametrize(("task", "state"), STATES, ids=repr)
def test_the_state_of_a_task(task, state):
    """A task is failed when the service says so, ready when it has a URL, and pending in every other case."""
    assert export_state(task) == state


MEANINGS = {
    "failed": [
        "FAILED",
        "TASK_STATUS_FAILED",
        "Error",
        "EXPORT_STATE_CANCELLED",
        "timed_out",
        "expired",
    ],
    "ready": ["READY", "TASK_STATUS_READY", "SUCCEEDED", "completed", "done"],
    "pending": [
        "PENDING",
        "TASK_STATUS_PENDING",
        "queued",
        "RUNNING",
        "IN_PROGRESS",
        "unspecified",
    ],
}


@pytest.mark.parametrize(
    ("state", "word"), [(s, w) for s, texts in MEANINGS.items() for w in texts]
)
def test_a_state_with_a_services_names(scripted, service, caplog, state, word):
    """Enum names and other words for the three states are read as those, in silence."""
    service.script = in_turn(PENDING | {"task_status": word, "error": "disk full"})
    task = scripted.export_task("ex_1")
    assert (task["task_status"], export_state({"task_status": word})) == (
        state,
        "failed" if state == "failed" else "pending",
    )
    assert caplog.records == []


@pytest.mark.parametrize("word", ["TASK_STATUS_FAILED", "error", "CANCELED"])
def test_waiting_ends_with_a_status_for_failure(wait, service, word):
    """Nobody waits until the timeout for an export that failed in other words."""
    service.script = in_turn(PENDING, PENDING | {"task_status": word, "error": "disk full"})
    with pytest.raises(AnalyticsExportFailed, match="disk full"):
        wait()


def test_an_unknown_state_is_logged_once_and_waited_for(scripted, service, caplog):
    """However often it is seen."""
    odd = PENDING | {"task_status": "Moonstruck"}
    service.script = in_turn(PENDING, odd, odd, odd, READY)
    task = scripted.query().export_and_wait("CSV", "a.csv", timeout=60, poll_interval=0.001)
    assert task["download_url"] == URL
    assert [record.getMessage() for record in caplog.records] == [
        "An export has the unknown status 'moonstruck': it is treated as pending."
    ]


def test_the_intervals_of_polls():
    """The waits grow by half, to five times the first or to what the caller says, and never below the first."""
    assert list(islice(poll_intervals(2.0), 6)) == [2, 3, 4.5, 6.75, 10, 10]
    assert list(islice(poll_intervals(2.0, longest=4), 4)) == [2, 3, 4, 4]
    assert list(islice(poll_intervals(2.0, longest=1), 3)) == [2, 2, 2]


def test_an_unknown_state_is_logged_in_short(caplog):
    """However long the word is, the log has its start only."""
    name = f"paused_{'x' * 10_000}"
    assert task_state(name) == name
    (record,) = caplog.records
    assert "paused_x" in record.getMessage()
    assert len(record.getMessage()) < 300
