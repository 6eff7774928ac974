"""Error messages of several windows: what is counted, in how many requests, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from vectorshift import Analytics
from vectorshift.analytics import EventField, Filter, LogicalOp
from vectorshift.errors import AnalyticsInvalidQuery
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.extract import aggregate
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.specs.measurable import require_measurable
from vectorshift_orchestration.thresholds.error_messages import error_messages
from vectorshift_orchestration.windows import Window

DAY = Window.day(datetime(2026, 11, 22, tzinfo=UTC).date())
DAYS = [*DAY.earlier(3), DAY]


def burst(blank, window, count, message):
    """Failed runs in a window."""
    blank.burst(count, at=window.start + timedelta(hours=12), error_message=message)


def rows(found):
    """Day, message and count of each row."""
    return [
        (f"{row['bucket_start']:%d}", row["error_message"], row["events"])
        for row in found.table.to_pylist()
    ]


def test_several_windows_are_one_request(blank, client):
    """The commonest messages of each window, first those of the earliest, in one request for all."""
    for window, count, message in (
        (DAYS[0], 2, "quota"),
        (DAYS[0], 5, "timeout"),
        (DAYS[0], 1, "odd"),
        (DAYS[3], 4, "quota"),
    ):
        burst(blank, window, count, message)
    burst(blank, DAY.earlier(4)[0], 9, "before")
    blank.reset_counters()
    result = error_messages(client.query(kinds=["pipeline.run"]), DAYS, limit=2)
    assert rows(result) == [("19", "timeout", 5), ("19", "quota", 2), ("22", "quota", 4)]
    reported = result.table.select(["examined_events", "failed_events"]).to_pylist()
    assert [tuple(each.values()) for each in reported] == [(8, 8), (8, 8), (4, 4)]
    assert result.requests == 1
    assert blank.counters()["requests"] == {"tables": 1}


def test_more_than_a_page_is_requested_in_halves(blank, client):
    """Where a page does not hold all, windows are halved; of one that is still too many, a part is counted and said."""
    for window, count in zip(DAYS, (2, 3, 9, 1), strict=True):
        burst(blank, window, count, "quota")
    blank.reset_counters()
    result = error_messages(client.query(), DAYS, most=5)
    assert rows(result) == [
        ("19", "quota", 2),
        ("20", "quota", 3),
        ("21", "quota", 5),
        ("22", "quota", 1),
    ]
    reported = result.table.select(["examined_events", "failed_events"]).to_pylist()
    assert [tuple(each.values()) for each in reported] == [(2, 2), (3, 3), (5, 9), (1, 1)]
    assert result.requests == 5
    assert blank.counters()["requests"] == {"tables": 5}


def test_no_failures_give_no_rows(blank, client):
    """Windows without a failed event have no rows, and no windows cost no request."""
    assert rows(error_messages(client.query(), DAYS)) == []
    assert error_messages(client.query(), []).requests == 0


ended = EventField.EVENT_END_TIME
QUERIES = {
    "every event": (Analytics.query(), True),
    "kinds": (Analytics.query(kinds=["pipeline.run"]), True),
    "a scope column": (Analytics.query().where(Filter.eq(EventField.PROJECT_ID, "p")), True),
    "values of one": (Analytics.query().where(EventField.PROJECT_ID.in_(["p", "q"])), True),
    "a data column": (Analytics.query().where(status="failure"), False),
    "a time that ended": (
        Analytics.query().where(ended > datetime(2026, 1, 1, tzinfo=UTC)),
        False,
    ),
    "alternatives": (
        Analytics.query().where(
            Filter.eq(EventField.PROJECT_ID, "p"),
            Filter.eq(EventField.EXECUTION_ID, "q"),
            logical_op=LogicalOp.OR,
        ),
        False,
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_what_cannot_be_measured_is_refused_before_any_request(blank, client, name):
    """A query is refused exactly when the client would refuse to aggregate it."""
    query, measurable = QUERIES[name]
    spec = AggregationSpec(["runs.sum"])
    if measurable:
        require_measurable(query)
        aggregate(query.using(client), DAY, spec)
        return
    with pytest.raises(SpecError):
        require_measurable(query)
    with pytest.raises(AnalyticsInvalidQuery):
        aggregate(query.using(client), DAY, spec)


def test_a_time_of_its_own_is_refused():
    """A query that is narrower than the windows would give parts for wholes."""
    started = EventField.EVENT_START_TIME
    query = Analytics.query().where(started >= DAY.start)
    with pytest.raises(SpecError, match="leave time out"):
        require_measurable(query)
