"""A seeded share of the disturbed replies of `tests/sdk/fuzzing.py`; docs/reliability.md has the command for many more."""

import asyncio
import json
import os
import random
import time
from datetime import UTC, datetime

import pytest

from tests.sdk import fuzzing
from tests.sdk.scripted import Answer
from vectorshift import (
    AnalyticsExportFailed,
    AnalyticsRequestFailed,
    InvalidResponseError,
    VectorshiftError,
)
from vectorshift.analytics import Analytics, EventField, FieldFilter

CALLS = int(os.environ.get("TEST_FUZZED_CALLS", "600"))
SHARES = 6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", fuzzing.DISTURBED)
@pytest.mark.parametrize("share", range(SHARES))
def test_every_disturbed_reply_ends_in_a_value_or_an_error_of_ours(how, share):
    """No foreign exception, no more than 50 requests and a second of CPU for a call, at every terminal and its twin."""
    for seed in range(share, CALLS, SHARES):
        fuzzing.ended(how, seed)


@pytest.mark.filterwarnings("ignore")
def test_the_disturbed_replies_reach_every_terminal_in_both_ways():
    """The seeds that are tried hold values and errors, and the replies differ."""
    for how, disturbed in fuzzing.DISTURBED.items():
        kinds = {fuzzing.ended(how, seed) for seed in range(200)}
        assert {"value", "InvalidResponseError", "AnalyticsRequestFailed"} <= kinds
        template = "/analytics/events/search"
        assert len({disturbed(random.Random(seed), template) for seed in range(200)}) > 150


@pytest.mark.parametrize(
    "sent", [{"count": "9" * 300_000 + "x"}, {"count": 2, "error": "http://" * 100_000}]
)
def test_a_long_text_is_read_in_time_that_grows_with_its_length(scripted, service, sent):
    """A figure that is no number, and an error that names many addresses: the square of their length would be minutes."""
    service.begin({"status": "failed" if "error" in sent else "success", **sent})
    began = time.process_time()
    with pytest.raises((InvalidResponseError, AnalyticsRequestFailed)):
        Analytics.query().using(scripted).count()
    assert time.process_time() - began < fuzzing.MOST_CPU * 10


@pytest.mark.parametrize("twin", ["blocking", "awaiting"])
def test_the_last_instants_of_the_calendar_are_times_like_others(scripted, service, twin):
    """An event of the year 9999 ends a walk in its rows or in an error of ours, since no later bound can be said."""
    late = [{"span_id": each, "span_start_time": "9999-12-31T23:59:59.9Z"} for each in ("a", "b")]

    def answer(request):
        if request.path.endswith("/count"):
            return Answer({"status": "success", "count": 2})
        return Answer(json.dumps({"status": "success", "events": late}).encode())

    service.script = answer
    query = Analytics.query().using(scripted)

    async def walked():
        return [each async for each in query.aiter_events(2)]

    result = list(query.iter_events(2)) if twin == "blocking" else asyncio.run(walked())
    assert [each["span_id"] for each in result] == ["a", "b"]


@pytest.mark.parametrize("name", ["trace_id", "span_id"])
def test_an_id_that_is_none_is_an_error_of_ours(scripted, service, name):
    """traces() and iter_events() go by ids: one that is a list is not an answer, one that is a number is its text."""
    service.begin({"status": "success", "events": [{"span_id": "a", "trace_id": "b", name: ["x"]}]})
    query = Analytics.query().using(scripted)
    for ask in (query.traces, query.events, lambda: list(query.iter_events(2))):
        with pytest.raises(InvalidResponseError, match=name):
            ask()
    service.begin({"status": "success", "events": [{"span_id": "a", "trace_id": "b", name: 7}]})
    assert query.events()["events"][0][name] == "7"


@pytest.mark.parametrize("start", ["soon", 7, {"a": 1}, "2026-13-01T00:00:00.123Z"])
def test_a_missing_start_proves_nothing_about_the_clock(scripted, service, start):
    """The probe of times reads events as they come: what is not a time is not an answer."""
    service.begin({"status": "success", "events": [{"span_id": "a", "span_start_time": start}]})
    with pytest.raises(InvalidResponseError):
        Analytics.query().using(scripted).time_precision()


@pytest.mark.parametrize(
    ("task_id", "error"), [(" ", AnalyticsExportFailed), (["x"], InvalidResponseError)]
)
def test_a_task_without_a_usable_id_is_not_blamed_on_the_caller(scripted, service, task_id, error):
    """What the service names is not an argument of anybody: it failed to name the export."""
    service.begin({"status": "success", "task_id": task_id, "task_status": "pending"})
    with pytest.raises(error, match=r"task id|task_id"):
        Analytics.query().using(scripted).export_and_wait("CSV", "x")
    assert len(service.requests) == 1


def test_a_bound_at_the_end_of_the_calendar(scripted, service):
    """The last instant is a bound like others, whatever is added to it on the way."""
    last = datetime.max.replace(tzinfo=UTC)
    at = EventField.EVENT_START_TIME
    service.begin({"status": "success", "result": {"aggregation_result": {}}})
    query = Analytics.query().using(scripted)
    bounds = FieldFilter.gte(at, last), FieldFilter.lte(at, last)
    assert query.where(*bounds).mean("latency") == 0.0


def test_a_failure_would_be_seen(monkeypatch):
    """An exception of anybody else, and an endless walk, fail the search, and name the seed."""
    monkeypatch.setattr(fuzzing, "replay", lambda how, seed: 1 / 0)
    with pytest.raises(AssertionError, match="seed 3: ZeroDivisionError"):
        fuzzing.ended("bytes", 3)
    monkeypatch.undo()
    monkeypatch.setattr(fuzzing, "MOST_REQUESTS", 0)
    with pytest.raises((AssertionError, VectorshiftError), match="requests"):
        fuzzing.ended("bytes", 0)


def test_a_figure_of_hundreds_of_digits_is_an_error_of_ours(scripted, service):
    """A whole number that no float can hold is not a figure."""
    service.begin(
        {
            "status": "success",
            "result": {"aggregation_result": {"runs_sum": {"total_aggregation": 10**400}}},
        }
    )
    bounded = Analytics.query().using(scripted).where(fuzzing.SINCE)
    with pytest.raises(InvalidResponseError):
        bounded.sum("runs")
