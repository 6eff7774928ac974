"""What Dagster is told about an error: never again, later, or nothing of its own."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from dagster_vectorshift import VectorShiftResource, as_dagster_failures
from vectorshift.errors import ApiConnectionError, InternalServerError
from vectorshift_orchestration.aggregates.merging import mergeable
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def client(emulator):
    """A client of the account with events."""
    resource = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
    yield resource.get_client()
    resource.close()


@pytest.mark.parametrize(
    ("code", "named", "wait"), [(429, "500", 500), (503, "200", 200), (429, "99999999", 3600)]
)
def test_a_named_time_is_waited_for(emulator, client, code, named, wait):
    """What the client does not wait for itself, the step does, with its slot given back."""
    emulator.fault("count", "status", code=code, retry_after=named)
    with pytest.raises(dg.RetryRequested) as raised, as_dagster_failures():
        client.query().count()
    assert raised.value.seconds_to_wait == wait
    assert raised.value.max_retries == 3


def test_other_errors_pass_as_they_are(emulator, client):
    """A failing service and a dead address stay typed errors, for the retry policy."""
    emulator.fault("count", "status", code=501)
    with pytest.raises(InternalServerError), as_dagster_failures():
        client.query().count()
    nowhere = VectorShiftResource(
        api_key="sk_x", base_url="http://127.0.0.1:9/v1", total_timeout=0.1
    )
    with pytest.raises(ApiConnectionError), as_dagster_failures():
        nowhere.get_client().query().count()
    nowhere.close()


@pytest.mark.parametrize(
    ("start", "end", "cause"),
    [
        (NOON.replace(tzinfo=None), NOON, "has no time zone"),
        (NOON, NOON, "holds nothing"),
        (NOON, NOON.replace(hour=11), "Swap the two"),
    ],
)
def test_an_unusable_window_fails_for_good(start, end, cause):
    """A naive, zero-width or reversed interval ends the step without retries, and says why."""
    with pytest.raises(dg.Failure, match=cause) as raised, as_dagster_failures():
        Window(start, end)
    assert not raised.value.allow_retries
    assert raised.value.metadata["vectorshift/error"].value == "WindowError"


def test_figures_that_cannot_be_put_together_fail_for_good():
    """A percentile of parts has no whole, however often it is tried."""
    with pytest.raises(dg.Failure, match="latency") as raised, as_dagster_failures():
        mergeable(AggregationSpec(["latency.p95"]))
    assert not raised.value.allow_retries
