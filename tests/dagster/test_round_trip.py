"""Several tables and checks in one round trip: what it costs, and what is reported of each partition."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_vectorshift import (
    DagsterVectorShiftTranslator,
    ErrorTable,
    HealthCheck,
    HealthTable,
    VectorShiftResource,
    build_health_assets,
    build_two_phase_export,
    vectorshift_health_assets,
)
from tests.days import MIDNIGHT
from vectorshift import Analytics
from vectorshift_orchestration.previews import sparkline
from vectorshift_orchestration.thresholds.rules import Absolute, Baseline, Rate

TODAY = MIDNIGHT.date()
FIRST, LAST = TODAY - timedelta(days=30), TODAY - timedelta(days=1)
SUMS = ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "model_costs.sum"]
FOUR = (
    HealthTable("by_pipeline", metrics=SUMS),
    HealthTable("by_model", metrics=SUMS, group_by=["model_id"]),
    HealthTable("by_hour", metrics=SUMS, group_by=[], interval="hour"),
    HealthTable("errors", metrics=["errors.sum"], group_by=["pipeline_id", "model_id"]),
)
CHECKS = (
    HealthCheck("by_pipeline", Rate(error=0.9, minimum_sample=1)),
    HealthCheck("by_hour", Baseline(metric="runs.sum", warn=50.0)),
)


@pytest.mark.slow
def test_thirty_days_of_four_tables_and_two_checks_are_one_request(runs, build, emulator):
    """Each of 30 partitions of 4 tables is materialized, each check judged for each, for one request."""
    emulator.reset_counters()
    done = runs(build(*FOUR, checks=CHECKS), FIRST, LAST)
    assert emulator.counters()["requests"] == {"aggregations": 1}
    assert len(done.get_asset_materialization_events()) == 4 * 30
    judged = done.get_asset_check_evaluations()
    days = {str(FIRST + timedelta(days=day)) for day in range(30)}
    for name in ("rate", "baseline"):
        assert {each.partition for each in judged if each.check_name == name} == days
    assert len(judged) == 2 * 30
    for table in FOUR:
        result = runs.sql(f"SELECT sum(errors_sum)::BIGINT AS errors FROM {table.name}")
        assert result == emulator.truth(
            "SELECT count(*) AS errors FROM events WHERE entity = 'pipeline' AND is_run"
            f" AND status = 'failure' AND start_time >= '{FIRST}' AND start_time < '{TODAY}'"
        )


def test_only_what_is_selected_is_measured_and_judged(runs, build):
    """A run of one table judges its checks and no others."""
    done = runs(
        build(*FOUR, checks=CHECKS), LAST, selection=dg.AssetSelection.assets("by_pipeline")
    )
    assert [each.check_name for each in done.get_asset_check_evaluations()] == ["rate"]
    assert runs.sql(
        "SELECT count(*) AS tables FROM duckdb_tables() WHERE table_name = 'by_hour'"
    ) == [{"tables": 0}]


def test_a_blocking_check_holds_back_what_is_downstream(runs, build, emulator):
    """An error burst fails the check of its day with ERROR, its table is written, and downstream does not run."""
    emulator.burst(50, at=datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=UTC))
    days = dg.DailyPartitionsDefinition("2025-01-01")
    check = HealthCheck("by_pipeline", Rate(error=0.5), name="errors_rate", blocking=True)
    health = build_health_assets(tables=[FOUR[0]], checks=[check], partitions_def=days)

    @dg.multi_asset(
        specs=[dg.AssetSpec("report", deps=["by_pipeline"])],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def report():
        """What must not be made from bad days."""
        yield dg.MaterializeResult()

    done = runs([health, report], LAST, raise_on_error=False)
    assert not done.success
    (judged,) = done.get_asset_check_evaluations()
    assert (judged.passed, judged.severity, judged.partition) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        str(LAST),
    )
    assert {event.asset_key for event in done.get_asset_materialization_events()} == {
        dg.AssetKey("by_pipeline")
    }
    assert runs.sql("SELECT sum(errors_sum)::BIGINT >= 50 AS kept FROM by_pipeline") == [
        {"kept": True}
    ]


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (HealthCheck("nowhere", Rate(error=0.1)), "nowhere"),
        (HealthCheck("by_week", Absolute(metric="latency.p95", error=1.0)), "latency.p95"),
    ],
)
def test_a_check_that_cannot_be_judged_is_refused(check, message):
    """A check of no table, and a percentile of partitions that are not a single bucket, fail at definition time."""
    two_days = dg.TimeWindowPartitionsDefinition(
        start="2026-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 1,11,21 * *"
    )
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        build_health_assets(
            tables=[HealthTable("by_week")], checks=[check], partitions_def=two_days
        )


def test_a_partition_shows_rows_trend_and_link(blank, blank_runs):
    """Preview and trend are Markdown of this partition, labels are escaped, and the link is the configured one."""
    for day, count in ((LAST - timedelta(days=1), 2), (LAST, 3)):
        start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        blank.insert(
            [
                {
                    "span_kind": "pipeline.run",
                    "pipeline_id": "pl|<b>",
                    "start_time": (start + timedelta(minutes=number)).isoformat(),
                    "end_time": (start + timedelta(minutes=number, seconds=1)).isoformat(),
                }
                for number in range(count)
            ]
        )
    health = build_health_assets(
        tables=[HealthTable("health", metrics=["runs.sum"])],
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
        query=Analytics.query(object_type="pipeline"),
    )
    blank_runs(health, LAST - timedelta(days=1))
    done = blank_runs(health, LAST, ui_url="https://ui.test/acme")
    (event,) = done.get_asset_materialization_events()
    reported = {name: value.value for name, value in event.materialization.metadata.items()}
    assert reported["vectorshift/preview"].splitlines() == [
        r"| pipeline\_id | runs\_sum |",
        "| --- | --- |",
        r"| pl\|\<b\> | 3 |",
    ]
    assert r"| runs\_sum | 3 | ▁█ |" in reported["vectorshift/trend"]
    assert reported["vectorshift/ui"] == "https://ui.test/acme"
    lineage = reported["dagster/column_lineage"].deps_by_column
    assert lineage["runs_sum"][0].column_name == "runs"
    assert event.materialization.tags["dagster/data_version"]


def test_a_body_of_your_own_sees_and_changes_the_rows(runs):
    """The decorated function gets what was measured, and what it leaves is what is kept."""

    @vectorshift_health_assets(
        tables=[HealthTable("health", metrics=["runs.sum"])],
        partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
    )
    def mine(context, health):
        rows = health.tables["health"]
        context.log.info("%d rows for %d request", rows.num_rows, health.requests)
        health.tables["health"] = rows.slice(0, 1)
        yield from health.materialize()

    assert mine.node_def.name == "mine"
    runs(mine, LAST)
    assert len(runs.sql("FROM health")) == 1


def test_names_and_descriptions_are_yours():
    """A translator and the factory's arguments decide keys, groups, owners, tags, kinds; the code version follows the query."""

    class Ours(DagsterVectorShiftTranslator):
        def get_asset_spec(self, props):
            spec = super().get_asset_spec(props)
            return spec.replace_attributes(key=spec.key.with_prefix("ai"), group_name="ours")

    def spec_of(**options):
        health = build_health_assets(
            tables=[HealthTable("health")],
            partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
            translator=Ours(),
            **options,
        )
        (spec,) = health.specs
        return spec

    spec = spec_of(owners=["team:ai"], tags={"tier": "1"}, kinds={"duckdb"}, key_prefix="lake")
    assert spec.key.to_user_string() == "lake/ai/health"
    assert (spec.group_name, spec.owners) == ("ours", ["team:ai"])
    assert spec.kinds == {"vectorshift", "duckdb"}
    assert spec.tags["tier"] == "1"
    scoped = spec_of(query=Analytics.query(object_type="pipeline"))
    assert scoped.code_version != spec.code_version == spec_of().code_version


def test_assets_are_described_before_they_run():
    """Each spec names its table and says what the rows are; a description of one's own takes its place."""
    days = dg.DailyPartitionsDefinition("2025-01-01")
    health = build_health_assets(
        tables=[
            HealthTable("cost", ["model_costs.sum"], ["model_id"], table="ai.cost"),
            HealthTable("mine", description="Ours."),
            ErrorTable("messages", limit=7),
        ],
        partitions_def=days,
    )
    exported = build_two_phase_export("events", partitions_def=days, table="raw_events")
    specs = {
        spec.key.to_user_string(): spec
        for assets in (health, *exported.assets)
        for spec in assets.specs
    }
    assert {name: spec.metadata.get("dagster/table_name") for name, spec in specs.items()} == {
        "cost": "ai.cost",
        "mine": "mine",
        "messages": "messages",
        "events": "raw_events",
        "events_request": None,
    }
    assert "one row for each day and model_id" in specs["cost"].description
    assert "- `model_costs_sum`: model_costs.sum, US dollars" in specs["cost"].description
    assert specs["mine"].description == "Ours."
    assert "The 7 commonest error messages" in specs["messages"].description
    assert "events" in specs["events"].description.lower()


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([1, 2, 3], "▁▅█"), ([5, 5], "▁▁"), ([None, 1, None, 2], " ▁ █"), ([], ""), ([None], "")],
)
def test_a_sparkline(values, drawn):
    """The least is the lowest bar, the greatest the highest, a missing value a gap."""
    assert sparkline(values) == drawn


def test_the_pool_is_the_accounts():
    """Assets that talk to an account share its pool, unless another or none is named."""
    options = {
        "tables": [HealthTable("health")],
        "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    }
    pools = [
        build_health_assets(**options, **arguments).node_def.pool
        for arguments in ({}, {"pool": "other"}, {"pool": None})
    ]
    assert pools == [VectorShiftResource.pool, "other", None]
