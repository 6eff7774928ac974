"""Partitions of health tables: what is asked, what lands, and what a failure leaves behind."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest

from dagster_vectorshift import HealthTable
from tests.days import MIDNIGHT
from vectorshift import Analytics
from vectorshift_orchestration.errors import SpecError

TODAY = MIDNIGHT.date()
YESTERDAY = TODAY - timedelta(days=1)
FIRST, LAST = TODAY - timedelta(days=7), TODAY - timedelta(days=1)
ROWS = "SELECT * FROM pipeline_health ORDER BY ALL"
TRUTH = """
    SELECT date_trunc('day', start_time)::VARCHAR AS bucket_start, pipeline_id,
        count(*) AS runs_sum, count(*) FILTER (status = 'failure') AS errors_sum,
        errors_sum / runs_sum AS error_rate,
        quantile_cont(latency, 0.95) AS latency_p95,
        coalesce(sum(tokens), 0)::BIGINT AS tokens_sum,
        coalesce(sum(model_costs), 0) AS model_costs_sum
    FROM events
    WHERE entity = 'pipeline' AND is_run AND start_time >= '{first}' AND start_time < '{last}'::DATE + 1
    GROUP BY ALL ORDER BY ALL
"""


def by_partition(result):
    """Metadata of a run's materializations by partition."""
    return {
        event.partition: {
            name: getattr(value, "value", value)
            for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def run_of(pipeline, day, **changes):
    """One pipeline run at noon of a day, as the emulator inserts it."""
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {
        "span_kind": "pipeline.run",
        "pipeline_id": pipeline,
        "object_id": pipeline,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        **changes,
    }


@pytest.fixture
def other_day():
    """A service that answers every aggregation with one run on a day of 2020."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            slices = {"result": {"aggregation_map": {"2020-01-01T00:00:00Z": 1}}}
            body = json.dumps(
                {"status": "success", "result": {"aggregation_result": {"runs_sum": slices}}}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_seven_days_are_one_request_and_the_truth(runs, build, emulator):
    """A run over seven days asks once, and every figure of every pipeline and day is the service's."""
    emulator.reset_counters()
    assert runs(build(), FIRST, LAST).success
    assert emulator.counters()["requests"] == {"aggregations": 1}

    plain = "bucket_start::VARCHAR AS bucket_start, model_costs_sum::DOUBLE AS model_costs_sum"
    landed = runs.sql(ROWS.replace("*", f"* REPLACE ({plain})"))
    truth = emulator.truth(TRUTH.format(first=FIRST, last=LAST))
    assert len(truth) > 7
    assert [row | {"bucket_start": row["bucket_start"][:10]} for row in landed] == [
        {
            name: pytest.approx(value) if isinstance(value, float) else value
            for name, value in (row | {"bucket_start": row["bucket_start"][:10]}).items()
        }
        for row in truth
    ]


def test_running_again_leaves_the_same_rows(runs, build):
    """A second run over the same days, and one over two of them, change nothing."""
    health = build()
    runs(health, FIRST, LAST)
    rows = runs.sql(ROWS)
    runs(health, FIRST, LAST)
    runs(health, FIRST + timedelta(days=2), FIRST + timedelta(days=3))
    assert runs.sql(ROWS) == rows
    assert runs.sql("SELECT sum(row_count) AS noted FROM _vectorshift_windows") == [
        {"noted": len(rows)}
    ]


def test_each_partition_has_its_own_metadata(runs, build):
    """In one run over a range, each partition's metadata is of that partition and agrees with the table."""
    reported = by_partition(runs(build(), FIRST, LAST))
    assert len(reported) == 7
    for row in runs.sql(
        "SELECT bucket_start, count(*) AS rows, sum(runs_sum)::BIGINT AS runs, max(latency_p95) AS p95,"
        " sum(errors_sum) / sum(runs_sum) AS rate FROM pipeline_health GROUP BY ALL"
    ):
        day = row["bucket_start"].replace(tzinfo=UTC)
        metadata = reported[f"{day:%Y-%m-%d}"]
        assert metadata["dagster/partition_row_count"] == row["rows"]
        assert metadata["vectorshift/runs_sum"] == row["runs"]
        assert metadata["vectorshift/latency_p95_max"] == row["p95"]
        assert metadata["vectorshift/error_rate"] == pytest.approx(row["rate"])
        assert metadata["vectorshift/window_start"] == day.timestamp()
        assert metadata["vectorshift/window_end"] == (day + timedelta(days=1)).timestamp()


def test_the_table_has_its_own_metadata(runs, build):
    """Table name, file and columns are those of the table that was written."""
    metadata = by_partition(runs(build(), LAST))[str(LAST)]
    assert metadata["dagster/table_name"] == "health.main.pipeline_health"
    assert metadata["dagster/uri"] == runs.path.as_uri()
    assert [column.name for column in metadata["dagster/column_schema"].columns] == [
        row["column_name"] for row in runs.sql("DESCRIBE pipeline_health")
    ]
    described = {
        column.name: column.description for column in metadata["dagster/column_schema"].columns
    }
    assert described["bucket_start"] == "Start of the day, UTC"
    assert described["latency_p95"] == "latency.p95, ms"
    assert described["error_rate"] == "errors.sum / runs.sum"


def test_an_empty_day_is_replaced_too(blank_runs, build, blank):
    """A day whose events are gone loses its rows, and a day that never had any gets a table."""
    health = build()
    blank.insert([run_of("pl_1", LAST)])
    blank_runs(health, FIRST, LAST)
    assert [row["runs_sum"] for row in blank_runs.sql(ROWS)] == [1]
    blank.reset()
    reported = by_partition(blank_runs(health, LAST))[str(LAST)]
    assert blank_runs.sql(ROWS) == []
    assert (reported["dagster/partition_row_count"], reported["vectorshift/rows_replaced"]) == (
        0,
        1,
    )
    assert reported["vectorshift/runs_sum"] == 0
    assert "vectorshift/error_rate" not in reported


def test_a_failing_insert_leaves_the_old_partition_whole(blank_runs, build, blank):
    """An insert that the database refuses after the delete changes no row of that day or a later one."""
    health = build()
    days = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=2)]
    blank.insert([run_of("pl_1", day) for day in days])
    blank_runs(health, days[0], days[2])
    before = blank_runs.sql(ROWS)
    columns = ", ".join(
        f"{row['column_name']} {row['column_type']}"
        for row in blank_runs.sql("DESCRIBE pipeline_health")
    )
    blank_runs.sql("ALTER TABLE pipeline_health RENAME TO old")
    blank_runs.sql(f"CREATE TABLE pipeline_health ({columns}, CHECK (pipeline_id <> 'pl_bad'))")
    blank_runs.sql("INSERT INTO pipeline_health FROM old")

    blank.insert([run_of("pl_new", days[0]), run_of("pl_bad", days[1]), run_of("pl_new", days[2])])
    failed = blank_runs(health, days[0], days[2], raise_on_error=False)

    assert not failed.success
    assert "CHECK" in failed.all_node_events[-1].event_specific_data.error.to_string()
    after = blank_runs.sql(ROWS)
    pipelines = {
        day: [row["pipeline_id"] for row in after if row["bucket_start"].date() == day]
        for day in days
    }
    assert [row for row in after if row["bucket_start"].date() == days[1]] == [
        row for row in before if row["bucket_start"].date() == days[1]
    ]
    assert "pl_new" in pipelines[days[0]]
    assert "pl_new" in pipelines[days[2]]
    blank_runs.sql("DROP TABLE pipeline_health")
    assert blank_runs(health, days[0], days[2]).success
    assert len(blank_runs.sql(ROWS)) == 6


def test_tables_are_selectable(runs, build, emulator):
    """Of several tables, a run asks for and writes those that were selected, under their own names."""
    health = build(
        HealthTable("by_pipeline", metrics=["runs.sum"], table="vectorshift.by_pipeline"),
        HealthTable("by_model", metrics=["runs.sum"], group_by=["model_id"]),
        HealthTable("by_hour", metrics=["runs.sum"], group_by=[], interval="hour"),
        key_prefix="vectorshift",
        query=None,
    )
    emulator.reset_counters()
    keys = [dg.AssetKey(["vectorshift", name]) for name in ("by_pipeline", "by_hour")]
    reported = runs(health, FIRST, LAST, selection=keys).get_asset_materialization_events()
    assert {event.asset_key for event in reported} == set(keys)
    assert emulator.counters()["requests"] == {"aggregations": 1}
    assert {row["name"] for row in runs.sql("SHOW ALL TABLES")} == {
        "by_pipeline",
        "by_hour",
        "_vectorshift_windows",
    }
    hours = runs.sql("SELECT count(*) AS hours, sum(runs_sum)::BIGINT AS runs FROM by_hour")
    assert hours == emulator.truth(
        "SELECT count(DISTINCT date_trunc('hour', start_time)) AS hours, count(*) AS runs"
        f" FROM events WHERE is_run AND start_time >= '{FIRST}' AND start_time < '{LAST}'::DATE + 1"
    )


def test_an_awaiting_query_works_as_well(runs, build):
    """A query that was made with `aquery` describes the same events."""
    assert runs(build(query=Analytics.aquery(object_type="pipeline")), LAST).success
    assert runs.sql(ROWS)


def test_excluded_partitions_are_left_alone(runs, build):
    """A run over a range with an excluded day writes the days around it and not that day."""
    hole = FIRST + timedelta(days=1)
    days = dg.DailyPartitionsDefinition(
        "2025-01-01", exclusions=[datetime(hole.year, hole.month, hole.day, tzinfo=UTC)]
    )
    runs(build(partitions_def=days), FIRST, FIRST + timedelta(days=2))
    assert {row["bucket_start"].date() for row in runs.sql(ROWS)} == {
        FIRST,
        FIRST + timedelta(days=2),
    }


@pytest.mark.parametrize(
    "partitions",
    [
        dg.DailyPartitionsDefinition("2026-01-01", timezone="America/New_York"),
        dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/London"),
        dg.DailyPartitionsDefinition("2026-01-01", hour_offset=2),
        dg.HourlyPartitionsDefinition("2026-01-01-00:00"),
        dg.TimeWindowPartitionsDefinition(
            start="2026-01-01-00:00", fmt="%Y-%m-%d-%H:%M", cron_schedule="0 0,12 * * *"
        ),
    ],
)
def test_partitions_that_cut_a_bucket_are_refused(partitions, build):
    """Partitions whose edges are not edges of UTC days, in winter or summer, fail at definition time."""
    with pytest.raises(
        dg.DagsterInvalidDefinitionError, match="pipeline_health has UTC buckets of one day"
    ):
        build(partitions_def=partitions)


def test_partitions_without_time_are_refused(build):
    """Partitions that are not windows of time fail at definition time, with what to use instead."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="DailyPartitionsDefinition"):
        build(partitions_def=dg.StaticPartitionsDefinition(["a"]))


@pytest.mark.parametrize(
    ("partitions", "interval"),
    [
        (dg.DailyPartitionsDefinition("2026-01-01", timezone="Africa/Abidjan"), "day"),
        (dg.WeeklyPartitionsDefinition("2026-01-01"), "day"),
        (dg.WeeklyPartitionsDefinition("2026-01-01", day_offset=1), "week"),
        (dg.MonthlyPartitionsDefinition("2026-01-01"), "month"),
        (dg.DailyPartitionsDefinition("2026-01-01", timezone="America/New_York"), "hour"),
    ],
)
def test_partitions_of_whole_buckets_are_taken(partitions, interval, build):
    """Partitions that are made of whole buckets are taken, whatever their cadence and zone."""
    health = build(HealthTable("pipeline_health", interval=interval), partitions_def=partitions)
    assert health.partitions_def == partitions


def test_the_hour_that_a_clock_repeats_is_two_partitions(blank_runs, build, blank):
    """Hourly partitions in a zone with summer time lose and double nothing in the night it ends."""
    zone = dg.HourlyPartitionsDefinition("2025-11-01-00:00", timezone="America/New_York")
    hours = [datetime(2025, 11, 2, hour, 30, tzinfo=UTC) for hour in range(4, 8)]
    blank.insert([run_of("pl_1", hour) | {"start_time": hour.isoformat()} for hour in hours])
    table = HealthTable("pipeline_health", metrics=["runs.sum"], interval="hour")
    reported = by_partition(
        blank_runs(build(table, partitions_def=zone), "2025-11-02-00:00", "2025-11-02-02:00")
    )
    assert [reported[key]["vectorshift/runs_sum"] for key in sorted(reported)] == [1, 1, 1, 1]
    assert [row["bucket_start"].hour for row in blank_runs.sql(ROWS)] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["run.sum"]}, "run"),
        ({"metrics": []}, "at least one metric"),
        ({"group_by": ["pipeline"]}, "pipeline_id"),
        ({"group_by": "pipeline_id"}, "is a list of names"),
        ({"group_by": ["time"]}, "sliced by time in any case"),
        ({"interval": "minute"}, "Interval 'minute'"),
    ],
)
def test_a_table_of_unknown_names_is_refused(changes, message):
    """A metric, dimension or interval that does not exist fails where it is written."""
    with pytest.raises(SpecError, match=message):
        HealthTable("pipeline_health", **changes)


@pytest.mark.parametrize(
    "tables",
    [
        [HealthTable("one"), HealthTable("one", table="other")],
        [HealthTable("one", table="Same"), HealthTable("two", table="same")],
    ],
)
def test_two_tables_of_one_name_are_refused(tables, build):
    """Two assets of one name, or two that would write one table, fail at definition time."""
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="different names"):
        build(*tables)


def test_only_figures_that_can_be_combined_are_reported(runs, build):
    """Maxima and minima of slices are those of the partition; means and distinct counts are left out."""
    metrics = ["latency.max", "latency.min", "latency.mean", "users.count_distinct", "error_rate"]
    reported = by_partition(runs(build(HealthTable("pipeline_health", metrics=metrics)), LAST))
    figures = runs.sql(
        'SELECT max(latency_max) AS "vectorshift/latency_max",'
        ' min(latency_min) AS "vectorshift/latency_min" FROM pipeline_health'
    )
    existing = {"rows_replaced", "window_start", "window_end", "requests", "preview", "trend"}
    existing |= {"fingerprint"}
    assert [
        {
            name: value
            for name, value in reported[str(LAST)].items()
            if name.startswith("vectorshift/") and name.partition("/")[2] not in existing
        }
    ] == figures


def test_a_bucket_from_another_day_changes_nothing(blank_runs, build, blank, other_day):
    """A service that answers with a bucket outside of the range fails the step, and the rows stand."""
    health = build(HealthTable("pipeline_health", metrics=["runs.sum"], group_by=[]))
    blank.insert([run_of("pl_1", LAST)])
    blank_runs(health, LAST)
    before = blank_runs.sql(ROWS)
    failed = blank_runs(health, LAST, base_url=other_day, raise_on_error=False)
    reported = failed.all_node_events[-1].event_specific_data.user_failure_data
    assert "2020-01-01" in reported.description
    assert reported.metadata["vectorshift/error"].value == "RowOutsideWindow"
    assert blank_runs.sql(ROWS) == before


def test_a_backfill_is_one_run_unless_capped(build):
    """All partitions of a backfill go into one run, or as many as the user allows."""
    capped = dg.BackfillPolicy.multi_run(max_partitions_per_run=30)
    assert build().backfill_policy == dg.BackfillPolicy.single_run()
    assert build(backfill_policy=capped).backfill_policy == capped


@pytest.mark.filterwarnings("ignore:Function `build_column_schema_change_checks`")
def test_a_schema_check_of_dagster_sees_a_new_column(runs, build):
    """Dagster's check of changed columns reads what a materialization tells, and fails on a new one."""
    checks = dg.build_column_schema_change_checks(assets=[dg.AssetKey("pipeline_health")])

    def judged(*metrics):
        health = build(HealthTable("pipeline_health", metrics=["runs.sum", *metrics]))
        done = runs([health, *checks], LAST)
        (result,) = done.get_asset_check_evaluations()
        return result

    judged()
    assert judged().passed
    changed = judged("tokens.sum")
    assert not changed.passed
    assert "tokens_sum" in changed.description


def test_a_day_that_cannot_be_written_keeps_back_no_other(runs, build, instance):
    """The other days of the range are written and marked; the run fails in the end and names the bad one."""
    days = [YESTERDAY - timedelta(days=back) for back in (3, 2, 1, 0)]
    runs.sql(
        "CREATE TABLE health (bucket_start TIMESTAMP"
        f" CHECK (bucket_start <> TIMESTAMP '{days[1]}'), runs_sum BIGINT)"
    )
    tables = [
        HealthTable("health", metrics=["runs.sum"], group_by=[]),
        HealthTable("by_pipeline", metrics=["runs.sum"]),
    ]
    done = runs(build(*tables), days[0], days[-1], raise_on_error=False)
    assert not done.success
    reported = done.all_node_events[-1].event_specific_data.user_failure_data
    assert f"health, partition {days[1]}" in reported.description
    assert reported.description.startswith("Of the 4 partitions of this run")
    written = {str(row["day"]) for row in runs.sql("SELECT bucket_start::DATE AS day FROM health")}
    marked = instance.get_materialized_partitions(dg.AssetKey("health"))
    assert written == marked == {str(day) for day in days} - {str(days[1])}
    statuses = instance.get_status_by_partition(
        dg.AssetKey("health"),
        [str(day) for day in days],
        dg.DailyPartitionsDefinition(str(days[0])),
    )
    assert [status.name for status in statuses.values()] == [
        "MATERIALIZED",
        "FAILED",
        "MATERIALIZED",
        "MATERIALIZED",
    ]
    assert instance.get_materialized_partitions(dg.AssetKey("by_pipeline")) == {
        str(day) for day in days
    }


def test_a_partition_that_is_the_same_has_the_same_fingerprint(runs, build, instance):
    """Each partition tells a fingerprint of its own rows, whatever else its run wrote."""
    health, first = build(), YESTERDAY - timedelta(days=2)

    def fingerprints(done):
        return {
            each.materialization.partition: each.materialization.metadata[
                "vectorshift/fingerprint"
            ].value
            for each in done.get_asset_materialization_events()
        }

    several = fingerprints(runs(health, first, YESTERDAY))
    assert fingerprints(runs(health, YESTERDAY)) == {str(YESTERDAY): several[str(YESTERDAY)]}
    assert len(set(several.values())) == 3
