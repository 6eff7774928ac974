"""Tables of error messages: what lands, what it costs, what is reported, and which queries are refused."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_vectorshift import (
    ErrorTable,
    HealthCheck,
    HealthTable,
    build_error_count_sensor,
    build_error_rate_check,
    build_export_asset,
    build_health_assets,
)
from tests.days import MIDNIGHT
from vectorshift import Analytics
from vectorshift.analytics import EventField
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.thresholds.rules import Rate

TODAY = MIDNIGHT.date()
DAYS = [TODAY - timedelta(days=back) for back in (3, 2, 1)]
DAILY = dg.DailyPartitionsDefinition("2025-01-01")
FAILED = Analytics.query().where(status="failure")


@pytest.fixture
def bursts(blank):
    """Three days: two messages, none, one message."""
    for day, count, message in ((0, 3, "quota"), (0, 5, "timeout"), (2, 4, "quota")):
        noon = datetime(DAYS[day].year, DAYS[day].month, DAYS[day].day, 12, tzinfo=UTC)
        blank.burst(count, at=noon, error_message=message)
    blank.reset_counters()
    return blank


def rows(runs):
    """The rows of the table: days since the first, message, events."""
    return [
        ((row["bucket_start"].date() - DAYS[0]).days, row["error_message"], row["events"])
        for row in runs.sql("FROM error_messages ORDER BY bucket_start, events DESC")
    ]


def told(result, name="error_messages"):
    """Metadata of a table's materializations by partition."""
    return {
        event.partition: {
            k: getattr(v, "value", v) for k, v in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(name)
    }


def test_messages_come_beside_the_other_tables_for_one_request_more(bursts, blank_runs, build):
    """Three days of a table, a check and the messages are one run and two requests; a second run changes nothing."""
    health = build(
        HealthTable("by_pipeline", metrics=["runs.sum"]),
        ErrorTable(),
        checks=[HealthCheck("by_pipeline", Rate(error=0.9))],
    )
    done = blank_runs(health, DAYS[0], DAYS[2])
    assert bursts.counters()["requests"] == {"aggregations": 1, "tables": 1}
    assert rows(blank_runs) == [(0, "timeout", 5), (0, "quota", 3), (2, "quota", 4)]
    metadata = told(done)
    assert [metadata[str(day)]["vectorshift/failed_events"] for day in DAYS] == [8, 0, 4]
    assert [metadata[str(day)]["dagster/partition_row_count"] for day in DAYS] == [2, 0, 1]
    assert metadata[str(DAYS[0])]["vectorshift/requests"] == 2
    assert "| timeout | 5 |" in metadata[str(DAYS[0])]["vectorshift/preview"]
    lineage = metadata[str(DAYS[0])]["dagster/column_lineage"].deps_by_column
    assert lineage["error_message"][0].column_name == "error_message"
    blank_runs(health, DAYS[0], DAYS[2])
    assert rows(blank_runs) == [(0, "timeout", 5), (0, "quota", 3), (2, "quota", 4)]


def test_messages_alone_request_nothing_else(bursts, blank_runs, build):
    """A run of the messages only costs their request, and a day whose failures are gone is emptied."""
    health = build(HealthTable("by_pipeline"), ErrorTable(limit=1))
    blank_runs(health, DAYS[0], DAYS[2], selection=[dg.AssetKey("error_messages")])
    assert bursts.counters()["requests"] == {"tables": 1}
    assert rows(blank_runs) == [(0, "timeout", 5), (2, "quota", 4)]
    bursts.reset()
    blank_runs(health, DAYS[2], selection=[dg.AssetKey("error_messages")])
    assert rows(blank_runs) == [(0, "timeout", 5)]


def test_messages_may_be_of_any_window(bursts, blank_runs, build):
    """Days of a zone whose midnights are not edges of UTC days are fine: nothing is cut into buckets."""
    zone = dg.DailyPartitionsDefinition("2025-01-01", timezone="Asia/Kolkata")
    blank_runs(build(ErrorTable(), partitions_def=zone, query=FAILED), DAYS[2])
    assert [(message, count) for _, message, count in rows(blank_runs)] == [("quota", 4)]


def test_a_table_without_rows_is_refused():
    """A limit of nothing fails where it is written."""
    with pytest.raises(SpecError, match="limit=0"):
        ErrorTable(limit=0)


@pytest.mark.parametrize(
    "define",
    [
        lambda query: build_health_assets(
            tables=[HealthTable("health")], partitions_def=DAILY, query=query
        ),
        lambda query: build_error_rate_check("health", error=0.1, query=query),
        lambda query: build_error_count_sensor(
            "health", partitions_def=DAILY, error=1, query=query
        ),
    ],
    ids=["assets", "check", "sensor"],
)
def test_a_query_that_cannot_be_measured_is_refused_at_definition_time(define):
    """A data column in the query of assets, checks and sensors fails when definitions load, and is named."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="data column status"):
        define(FAILED)


@pytest.mark.parametrize(
    "define",
    [
        lambda query: build_health_assets(tables=[ErrorTable()], partitions_def=DAILY, query=query),
        lambda query: build_export_asset("events", partitions_def=DAILY, query=query),
    ],
    ids=["messages", "export"],
)
def test_a_query_with_a_time_is_refused_at_definition_time(define):
    """A time in the query would make parts of partitions pass for the whole."""
    started = EventField.EVENT_START_TIME
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="leave time out"):
        define(Analytics.query().where(started >= datetime(2026, 1, 1, tzinfo=UTC)))
