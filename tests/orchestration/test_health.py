"""Tables of health and judgings that are measured together: the same as each by itself, in fewer requests."""

from datetime import UTC, datetime, timedelta

import pytest

from vectorshift_orchestration import Change, Judging, Window
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.extract import aggregate
from vectorshift_orchestration.health import ErrorTable, HealthTable, cut, measure

DAY = Window.day(datetime(2026, 11, 22, tzinfo=UTC).date())
DAYS = [*DAY.earlier(2), DAY]


def test_tables_and_judgings_share_requests(blank, client):
    """One request for figures and one for messages; a judging's history is not among the rows."""
    for number, window in enumerate([DAYS[0].earlier(1)[0], *DAYS], start=1):
        blank.burst(number, at=window.start + timedelta(hours=12), error_message="quota")
    table, query = HealthTable("daily", ["runs.sum", "errors.sum"], []), client.query()
    rule = Change(metric="errors.sum", error=0.6)
    blank.reset_counters()
    result = measure(query, DAYS, [table, ErrorTable()], [Judging(rule, DAYS, sliced=True)])
    assert blank.counters()["requests"] == {"aggregations": 1, "tables": 1}
    assert result.requests == 2
    whole = Window(DAYS[0].start, DAY.end)
    assert result.tables["daily"].equals(aggregate(query, whole, table.spec))
    assert [each["events"] for each in result.tables["error_messages"].to_pylist()] == [2, 3, 4]
    ((first, *later),) = result.verdicts
    assert (first.ok, first.observed) == (False, 1.0)
    assert [each.ok for each in later] == [True, True]
    parts = cut(result.tables["daily"], DAYS)
    assert [table.figures(parts[each]) for each in DAYS] == [
        {"runs_sum": count, "errors_sum": count} for count in (2, 3, 4)
    ]


def test_a_table_without_rows_is_refused():
    """A limit below 1, a text where a list is due, and time named twice."""
    with pytest.raises(SpecError, match="limit=0"):
        ErrorTable(limit=0)
    with pytest.raises(SpecError, match="group_by is a list"):
        HealthTable("x", group_by="pipeline_id")
    with pytest.raises(SpecError, match="by time in any case"):
        HealthTable("x", group_by=["time"])
