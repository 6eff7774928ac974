"""An alert that nobody schedules, raised by a watcher in the triggerer."""

from datetime import UTC, datetime

import pytest

from tests.airflow_live.accounts import measured

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


def test_error_burst(stack, accounts, figures):
    """A burst of errors starts the DAG within two polls, once, and the alert says what happened."""
    account = accounts["watch"]
    polled = measured(account)
    # Right after a look, so that the burst does not lie across the end of a window.
    stack.until(lambda: measured(account) > polled, "the watcher polls", every=0.05)
    before, burst_at = measured(account), datetime.now(UTC)
    account.burst(25, error_message="quota exceeded")
    (run,) = stack.until(lambda: stack.rest.runs("watch"), "the alert is raised", every=0.05)
    raised_after = measured(account) - before
    assert raised_after <= 2
    assert run["run_type"] == "asset_triggered"
    assert stack.ended("watch", run["dag_run_id"]) == "success"
    (reported,) = stack.rest.xcom("watch", run["dag_run_id"], "alert")
    start, end = (datetime.fromisoformat(reported["window"][name]) for name in ("start", "end"))
    assert start <= burst_at < end
    assert (reported["observed"], reported["limit"], reported["ok"]) == (25, 20, False)
    assert reported["top_errors"] == [{"message": "quota exceeded", "count": 25}]
    assert "25 x quota exceeded" in reported["message"]
    seen = measured(account)
    stack.until(lambda: measured(account) >= seen + 2, "two more polls")
    assert len(stack.rest.runs("watch")) == 1
    queued = datetime.fromisoformat(run["queued_at"])
    figures["alert"] = {
        "polls": raised_after,
        "s_after_window": round((queued - end).total_seconds(), 1),
    }
