"""When a call is tried again: the pure decision as a table, and what a client does with it."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.sdk.scripted import Answer, in_turn
from vectorshift import (
    AnalyticsRequestFailed,
    ApiConnectionError,
    Client,
    InternalServerError,
    RateLimitError,
    Retry,
    VectorshiftApiError,
)
from vectorshift._retry import Failure, Quota, parse_retry_after, wait_before_retry

COUNT = {"status": "success", "count": 1}
NOW = datetime(2026, 1, 1, tzinfo=UTC)

RETRY_AFTER = {
    "0": 0,
    "1": 1,
    " 7 ": 7,
    "1.5": 1.5,
    "3600": 3600,
    format_datetime(NOW + timedelta(seconds=30), usegmt=True): 30,
    format_datetime(NOW - timedelta(days=1), usegmt=True): 0,
    "Fri, 31 Dec 99999 23:59:59 GMT": None,
    "Thu, 01 Jan 100000 00:00:00 GMT": None,
    "-1": None,
    "NaN": None,
    "inf": None,
    "1e308": None,
    "9" * 400: None,
    "soon": None,
    "": None,
    "٣": None,
}


@pytest.mark.parametrize("header", RETRY_AFTER)
def test_retry_after_in_all_its_forms(header):
    """Seconds and HTTP dates are read; NaN, negative and absurd values are ignored."""
    assert parse_retry_after(header, wall_clock=NOW.timestamp()) == RETRY_AFTER[header]


def failure(status=503, *, retry_after=None, sent=True, timed_out=False, repeatable=True):
    """One failed try."""
    return Failure(status, retry_after, sent, timed_out, repeatable)


REPEATED = {
    "408": (failure(408), True),
    "429": (failure(429), True),
    "500": (failure(500), True),
    "502": (failure(502), True),
    "503": (failure(503), True),
    "504": (failure(504), True),
    "501": (failure(501), False),
    "400": (failure(400), False),
    "401": (failure(401), False),
    "404": (failure(404), False),
    "no answer": (failure(0), True),
    "not sent": (failure(0, sent=False), True),
    "long wait": (failure(429, retry_after=121), False),
    "create 500": (failure(500, repeatable=False), False),
    "create 502": (failure(502, repeatable=False), False),
    "create 429": (failure(429, repeatable=False), False),
    "create 503": (failure(503, repeatable=False), False),
    "create 429 with a time": (failure(429, retry_after=0, repeatable=False), True),
    "create 503 with a time": (failure(503, retry_after=0, repeatable=False), True),
    "create 500 with a time": (failure(500, retry_after=0, repeatable=False), False),
    "create, no answer": (failure(0, repeatable=False), False),
    "create, not sent": (failure(0, sent=False, repeatable=False), True),
}


@pytest.mark.parametrize("case", REPEATED)
def test_what_is_tried_again(case):
    """Passing failures are; refusals are not; creating an export only where that cannot make two."""
    failed, expected = REPEATED[case]
    wait = wait_before_retry(failed, attempt=1, policy=Retry(), remaining=300, random=lambda: 0.5)
    assert (wait is not None) is expected


def test_waits_grow_to_a_limit_with_full_jitter():
    """The n-th wait is drawn evenly from 0 to first * 2**n, at most the longest; Retry-After comes on top."""
    policy = Retry(attempts=9999)

    def wait(attempt, drawn, **options):
        return wait_before_retry(
            failure(**options), attempt=attempt, policy=policy, remaining=1e9, random=lambda: drawn
        )

    assert [wait(n, 1.0) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [wait(n, 0.0) for n in range(1, 9)] == [0.0] * 8
    assert wait(1, 1.0, retry_after=7) == 7.5
    assert wait(2000, 1.0) == 30


def test_no_wait_beyond_the_total_time():
    """When the wait would outlast the total time the error comes now."""
    options = {"attempt": 1, "policy": Retry(), "random": lambda: 1.0}
    assert wait_before_retry(failure(), remaining=0.51, **options) == 0.5
    assert wait_before_retry(failure(), remaining=0.5, **options) is None


def test_the_quota_ends_retries_and_fills_again():
    """Five hundred tokens: a retry costs five, after a timeout ten; a success earns one."""
    quota = Quota()
    assert sum(quota.spend(timed_out=False) for _ in range(200)) == 100
    for _ in range(5):
        quota.earn()
    assert quota.spend(timed_out=True) is False
    assert quota.spend(timed_out=False) is True


@pytest.mark.parametrize(
    "bad", [{"attempts": 0}, {"first_wait": -1}, {"longest_retry_after": -0.1}]
)
def test_a_senseless_policy_is_refused(bad):
    """At least one attempt, and no negative wait."""
    with pytest.raises(ValueError, match="attempts >= 1"):
        Retry(**bad)


# --- a client ----------------------------------------------------------------------------------


def test_a_passing_failure_is_not_seen(scripted, service):
    """A call that succeeds within its attempts succeeds."""
    html = Answer(b"<html>bad gateway</html>", 502)
    service.script = in_turn(html, Answer({}, 503), Answer({}, 429, {"Retry-After": "0"}), COUNT)
    assert scripted.query().count() == {"count": 1}
    assert len(service.requests) == 4


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_lasting_failure_ends_after_five_tries(scripted, service, status):
    """Five tries, whatever the service says about time, and the error says what the last one said."""
    for header in (None, "0", "-1", "NaN", "1e308", "Fri, 31 Dec 99999 23:59:59 GMT"):
        service.requests.clear()
        headers = {} if header is None else {"Retry-After": header}
        service.script = in_turn(Answer({"error": "no"}, status, headers))
        with pytest.raises(VectorshiftApiError, match=f"HTTP {status}.*: no"):
            scripted.query().count()
        assert len(service.requests) == 5


@pytest.mark.parametrize("header", [("Retry-After", "3600"), ("Retry-After-Ms", "3600000")])
def test_a_long_retry_after_is_reported_at_once(scripted, service, header):
    """More than two minutes is for an orchestrator: the error comes now and carries the seconds."""
    service.script = in_turn(Answer({"error": "Rate limit exceeded"}, 429, dict([header])))
    with pytest.raises(RateLimitError, match="Rate limit exceeded") as caught:
        scripted.query().count()
    assert caught.value.retry_after == 3600
    assert len(service.requests) == 1


@pytest.mark.parametrize("header", [("Retry-After", "0.1"), ("Retry-After-Ms", "100")])
def test_a_retry_after_is_waited_for(scripted, service, header):
    """The time that the service names is waited for, before trying again."""
    service.script = in_turn(Answer({}, 429, dict([header])), COUNT)
    began = time.monotonic()
    assert scripted.query().count() == {"count": 1}
    assert 0.1 <= time.monotonic() - began < 1.1


def test_a_refusal_is_not_repeated(scripted, service):
    """A failure that would come again is told after one request; so is 200 with "failed"."""
    for answer, error in (
        (Answer({}, 400), VectorshiftApiError),
        (Answer({"status": "failed"}), AnalyticsRequestFailed),
    ):
        service.requests.clear()
        service.script = in_turn(answer)
        with pytest.raises(error):
            scripted.query().count()
        assert len(service.requests) == 1


CREATED = {"status": "success", "task_id": "ex_1", "task_status": "pending"}


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (Answer({}, 500), 1),
        (Answer({}, 502), 1),
        (Answer({}, 429), 1),
        (Answer({}, 503), 1),
        (Answer({}, 429, {"Retry-After": "0"}), 2),
        (Answer({}, 503, {"Retry-After": "0"}), 2),
        (Answer(raw=[b""]), 1),
        (Answer(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"]), 1),
    ],
    ids=["500", "502", "429", "503", "429 with a time", "503 with a time", "hung up", "cut"],
)
def test_an_export_is_created_again_only_where_that_is_safe(scripted, service, answer, tries):
    """Only "not now, but at that time" proves that no export was made."""
    service.script = in_turn(answer, CREATED)
    if tries == 1:
        with pytest.raises((VectorshiftApiError, ApiConnectionError)):
            scripted.query().export("CSV", "a.csv")
    else:
        assert scripted.query().export("CSV", "a.csv")["task_id"] == "ex_1"
    assert len(service.requests) == tries


def test_a_client_stops_trying_when_its_quota_is_spent(service):
    """An outage is not fed by a fleet of retries: after a hundred of them each call is one request."""
    service.script = in_turn(Answer({}, 500))
    with Client("sk_x", service.base_url, retry=Retry(attempts=2, first_wait=0)) as client:
        for _ in range(102):
            with pytest.raises(InternalServerError):
                client.query().count()
    assert len(service.requests) == 102 + 100
