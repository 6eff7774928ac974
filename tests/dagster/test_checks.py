"""Checks in real runs: verdicts by partition, what they show, what they hold back, what they cost."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_vectorshift import (
    HealthTable,
    VectorShiftResource,
    build_baseline_check,
    build_error_count_check,
    build_error_rate_check,
    build_health_assets,
    build_latency_check,
    build_rule_check,
)
from dagster_vectorshift.checks._evaluations import targets
from tests.days import MIDNIGHT
from vectorshift import Analytics
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.thresholds.rules import Change

TODAY = MIDNIGHT.date()
DAYS = dg.DailyPartitionsDefinition("2025-01-01")
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def day(back):
    """The key of a day so many days ago."""
    return str(TODAY - timedelta(days=back))


def noon(back):
    """Noon of a day so many days ago, in UTC."""
    return datetime.fromisoformat(day(back)).replace(hour=12, tzinfo=UTC)


def arrive(emulator, **counts):
    """Runs at noon of days, in one insert: `_2=30` is 30 runs two days ago, successful ones."""
    emulator.insert(
        [
            {"start_time": (noon(int(back[1:])) + timedelta(milliseconds=n)).isoformat()}
            for back, count in counts.items()
            for n in range(count)
        ]
    )


@dg.asset(partitions_def=DAYS)
def health() -> None:
    """Stands for any asset that is checked."""


@dg.asset(partitions_def=DAYS, deps=[health])
def report() -> None:
    """Stands for what is downstream of it."""


@pytest.fixture
def execute(blank, instance):
    """Runs `health`, its checks and `report` over a range of days, or what else is given."""

    def execute(*checks, first=None, last=None, assets=(health, report), key=None):
        options = {
            "base_url": blank.base_url,
            "api_key": key or blank.api_key,
            "time_precision": "us",
        }
        job = dg.Definitions(
            assets, asset_checks=checks, resources={"vectorshift": VectorShiftResource(**options)}
        ).resolve_implicit_global_asset_job_def()
        tags = first and {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        return job.execute_in_process(tags=tags, raise_on_error=False, instance=instance)

    return execute


def evaluated(result):
    """The evaluations of a run by partition."""
    return {each.partition: each for each in result.get_asset_check_evaluations()}


def told(evaluation):
    """The metadata of an evaluation without Dagster's wrapping and our prefix."""
    return {
        name.removeprefix("vectorshift/"): getattr(value, "value", value)
        for name, value in evaluation.metadata.items()
    }


def landed(result):
    """The names of the assets that a run materialized."""
    return {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}


def test_one_run_over_four_days_is_four_evaluations_and_one_aggregation(blank, execute):
    """In a range run each day has its own verdict: ok, WARN, ERROR, and too few runs to say."""
    arrive(blank, _4=50, _3=45, _2=20, _1=2)
    for back, failed in ((3, 5), (2, 30), (1, 3)):
        blank.burst(failed, at=noon(back), error_message="quota exceeded")
    blank.reset_counters()
    result = evaluated(
        execute(build_error_rate_check(health, warn=0.05, error=0.2), first=day(4), last=day(1))
    )
    assert blank.counters()["requests"] == {"aggregations": 1, "tables": 2}
    assert [(key, each.passed, told(each)["state"]) for key, each in result.items()] == [
        (day(4), True, "ok"),
        (day(3), False, "breached"),
        (day(2), False, "breached"),
        (day(1), True, "insufficient data"),
    ]
    assert [result[day(back)].severity for back in (3, 2)] == [WARN, ERROR]
    displayed = told(result[day(2)])
    assert (displayed["observed"], displayed["limit"], displayed["sample"]) == (0.6, 0.2, 50)
    assert displayed["rule"]["warn"] == 0.05
    assert [displayed[f"window_{edge}"] for edge in ("start", "end")] == [
        datetime.fromisoformat(key).replace(tzinfo=UTC).timestamp() for key in (day(2), day(1))
    ]
    assert "observed" not in told(result[day(1)])


def test_a_breach_shows_why_runs_failed(blank, execute):
    """The page of a failed check has the commonest error messages, most common first."""
    blank.burst(30, at=noon(1), error_message="model timed out")
    blank.burst(40, at=noon(1) + timedelta(hours=1), error_message="quota exceeded")
    result = evaluated(execute(build_error_count_check(health, error=10), first=day(1)))[day(1)]
    table = result.metadata["vectorshift/top_errors"]
    assert [record.data for record in table.records] == [
        {"count": 40, "message": "quota exceeded"},
        {"count": 30, "message": "model timed out"},
    ]
    assert told(result)["failed_events"] == 70


def test_many_breaches_are_explained_for_the_latest_days_only(blank, execute):
    """Seven bad days in one run cost one aggregation and five looks at messages."""
    blank.insert(
        [
            {"start_time": noon(back).isoformat(), "status": "failure"}
            for back in range(1, 8)
            for _ in range(2)
        ]
    )
    blank.reset_counters()
    check = build_error_count_check(health, error=1)
    result = evaluated(execute(check, first=day(7), last=day(1)))
    assert blank.counters()["requests"] == {"aggregations": 1, "tables": 5}
    assert [each.passed for each in result.values()] == [False] * 7
    explained = [key for key, each in result.items() if "top_errors" in told(each)]
    assert explained == [day(back) for back in (5, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("limits", "blocking", "days", "lands"),
    [
        ({"error": 10}, True, 1, {"health"}),
        ({"error": 10}, True, 3, {"health"}),
        ({"warn": 10, "error": 100}, True, 1, {"health", "report"}),
        ({"warn": 10}, True, 3, {"health", "report"}),
        ({"error": 10}, False, 3, {"health", "report"}),
    ],
)
def test_only_a_blocking_error_holds_back_what_is_downstream(
    blank, execute, limits, blocking, days, lands
):
    """In a run of one day or of several, ERROR of a blocking check stops; WARN and others do not."""
    blank.burst(20, at=noon(1))
    check = build_error_count_check(health, **limits, blocking=blocking)
    result = execute(check, first=day(days), last=day(1))
    assert landed(result) == lands
    assert result.success == ("report" in lands)
    assert [each.passed for each in evaluated(result).values()] == [True] * (days - 1) + [False]
    assert all(each.blocking == blocking for each in evaluated(result).values())


def test_an_evaluation_is_about_the_materialization_of_its_partition(execute, instance):
    """Dagster clears a check's status unless it knows which materialization was looked at."""
    check = build_error_count_check(health, error=10)
    result = evaluated(execute(check, first=day(2), last=day(1)))
    for key in (day(2), day(1)):
        requested = dg.AssetRecordsFilter(health.key, asset_partitions=[key])
        (record,) = instance.fetch_materializations(requested, limit=1).records
        target = result[key].target_materialization_data
        assert (target.storage_id, target.run_id) == (record.storage_id, record.run_id)


def test_a_late_run_changes_the_verdict_of_the_next_evaluation(blank, execute):
    """Evaluating a day again sees events that arrived since."""
    check = build_error_count_check(health, error=10)
    assert evaluated(execute(check, first=day(1)))[day(1)].passed
    blank.burst(11, at=noon(1))
    assert not evaluated(execute(check, first=day(1)))[day(1)].passed


def test_latency_is_the_percentile_of_the_whole_partition(emulator):
    """The observed latency is that of all runs of the day, which no table of slices could give."""
    check = build_latency_check(
        health, warn=1, minimum_sample=1, query=Analytics.query(object_type="pipeline")
    )
    account = VectorShiftResource(
        api_key=emulator.api_key, base_url=emulator.base_url, time_precision="us"
    )
    job = dg.Definitions(
        [health], asset_checks=[check], resources={"vectorshift": account}
    ).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": day(3),
        "dagster/asset_partition_range_end": day(1),
    }
    result = evaluated(job.execute_in_process(tags=tags))
    truth = emulator.truth(
        "SELECT start_time::DATE::VARCHAR AS day, quantile_cont(latency, 0.95) AS p95 FROM events"
        f" WHERE entity = 'pipeline' AND is_run AND start_time >= '{day(3)}'"
        f" AND start_time < '{day(0)}' GROUP BY ALL ORDER BY ALL"
    )
    assert {key: told(each)["observed"] for key, each in result.items()} == {
        row["day"]: pytest.approx(row["p95"]) for row in truth
    }
    assert {each.check_name for each in result.values()} == {"latency_p95"}
    assert all(each.severity is WARN and not each.passed for each in result.values())


def test_a_baseline_sees_its_history_in_the_same_request(blank, execute):
    """A day that stands out from the days before it fails; those days need no materialization."""
    arrive(blank, **{f"_{back}": 20 + back % 3 for back in range(2, 16)}, _1=80)
    check = build_baseline_check(health, metric="runs.sum", warn=3.5, error=6, windows=10)
    blank.reset_counters()
    result = evaluated(execute(check, first=day(2), last=day(1)))
    assert blank.counters()["requests"] == {"aggregations": 1}
    assert [each.passed for each in result.values()] == [True, False]
    assert result[day(1)].severity is ERROR
    assert told(result[day(1)])["observed"] > 6
    assert "median of 10 windows" in result[day(1)].description


def test_a_short_history_is_insufficient_data(blank, execute):
    """A baseline over days without runs passes and says that it could not tell."""
    arrive(blank, _1=80)
    check = build_baseline_check(health, metric="latency.p95", minimum_windows=5)
    result = evaluated(execute(check, first=day(1)))[day(1)]
    assert (result.passed, told(result)["state"]) == (True, "insufficient data")


def test_an_infinite_deviation_is_shown_without_a_number(blank, execute):
    """When all of the history agrees and the day does not, there is a breach and no figure to plot."""
    arrive(blank, **{f"_{back}": 20 for back in range(2, 9)}, _1=21)
    check = build_baseline_check(health, metric="runs.sum", windows=7)
    result = evaluated(execute(check, first=day(1)))[day(1)]
    assert not result.passed
    assert "observed" not in told(result)


def test_any_rule_makes_a_check(blank, execute):
    """A rule of the core that has no factory of its own is a check as well."""
    arrive(blank, _2=40, _1=10)
    rule = Change(metric="runs.sum", error=-0.5, breach="below")
    result = evaluated(execute(build_rule_check(health, rule), first=day(1)))[day(1)]
    assert (result.passed, told(result)["observed"]) == (False, -0.75)
    assert result.check_name == "change"


def test_days_of_another_zone_are_measured_one_by_one(blank, execute):
    """A percentile of local days cannot come from UTC buckets, so each day is requested, and exact."""
    days = dg.DailyPartitionsDefinition("2025-01-01", timezone="America/New_York")
    local = dg.AssetSpec("local", partitions_def=days)

    @dg.multi_asset(specs=[local])
    def measured():
        yield dg.MaterializeResult(asset_key="local")

    blank.burst(30, at=noon(2) + timedelta(hours=14), status="success")  # past midnight in UTC
    check = build_latency_check(local, error=1e9)
    blank.reset_counters()
    result = evaluated(execute(check, first=day(3), last=day(2), assets=[measured]))
    assert blank.counters()["requests"] == {"aggregations": 2}
    assert {key: told(each)["sample"] for key, each in result.items()} == {day(3): 0, day(2): 30}


def test_without_partitions_the_latest_time_is_measured(blank, execute):
    """A check of an asset without partitions looks at the time up to the last full hour."""
    whole = dg.asset(lambda: None, name="whole")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    blank.burst(12, at=hour - timedelta(hours=2))
    blank.burst(12, at=hour - timedelta(hours=4))
    check = build_error_count_check(whole, error=10, window=timedelta(hours=3), blocking=True)
    result = execute(check, assets=[whole])
    actual = evaluated(result)[None]
    assert (actual.passed, told(actual)["observed"], result.success) == (False, 12, False)
    assert told(actual)["window_end"] == hour.timestamp()


def test_a_wrong_key_ends_the_check_for_good(blank, execute):
    """A check that may not ask fails its step, and a retry policy does not try again."""
    check = build_error_count_check(
        health, error=10, retry_policy=dg.RetryPolicy(max_retries=3, delay=0)
    )
    result = execute(check, first=day(1), key="sk_wrong")
    assert not result.success
    assert [event.is_step_restarted for event in result.all_events].count(True) == 0
    assert evaluated(result) == {}


def test_a_check_of_one_of_several_tables():
    """A definition of several assets is refused by name; the spec of one of them brings its partitions."""
    tables = build_health_assets(
        tables=[HealthTable("one"), HealthTable("two")], partitions_def=DAYS
    )
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="several: one, two"):
        build_error_count_check(tables, error=1)
    check = build_error_count_check(tables.get_asset_spec(dg.AssetKey("two")), error=1)
    assert check.check_keys == {dg.AssetCheckKey(dg.AssetKey("two"), "error_count")}
    assert next(iter(check.check_specs)).partitions_def == DAYS


def test_partitions_that_are_not_time_are_refused(execute):
    """A check by partitions without windows fails where it is written, with what to do."""
    letters = dg.AssetSpec("letters", partitions_def=dg.StaticPartitionsDefinition(["a"]))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="partitions_def=None"):
        build_error_rate_check(letters, error=0.1)
    check = build_error_rate_check(letters, error=0.1, partitions_def=None)
    assert next(iter(check.check_specs)).partitions_def is None


@pytest.mark.parametrize(
    ("check", "description"),
    [
        (
            build_error_rate_check(health, warn=0.05, error=0.2),
            "errors.sum / runs.sum: WARN past 0.05, ERROR past 0.2; fewer than 20 runs are not judged.",
        ),
        (build_error_count_check(health, error=10), "errors.sum: ERROR past 10."),
        (
            build_baseline_check(health, metric="runs.sum", breach="below", warn=-4),
            "runs.sum, in robust deviations from 14 windows before: WARN past -4 (below).",
        ),
        (
            build_rule_check(
                health, Change(metric="runs.sum", error=0.5), description="Half more."
            ),
            "Half more.",
        ),
        (
            build_rule_check(health, Change(metric="runs.sum", error=0.5)),
            "runs.sum, as a change from the window before: ERROR past 0.5.",
        ),
    ],
)
def test_the_page_says_what_is_checked(check, description):
    """Without words of the user's own, the description is the rule."""
    (spec,) = check.check_specs
    assert spec.description == description


@pytest.mark.parametrize("limits", [{}, {"warn": 0.5, "error": 0.1}, {"error": "many"}])
def test_unusable_limits_are_refused(limits):
    """No limit, limits in the wrong order and limits that are not numbers fail where they are written."""
    with pytest.raises(SpecError):
        build_error_rate_check(health, **limits)


@pytest.mark.parametrize("again", [[], ["1"], ["3", "1", "1"]], ids=["once", "one", "several"])
def test_targets_of_evaluations_are_read_at_once(instance, monkeypatch, again):
    """Each is about its partition's newest materialization, and the instance is asked once where each has one."""
    key, keys = dg.AssetKey("health"), ["1", "2", "3"]
    for partition in [*keys, *again]:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
    newest = {
        partition: instance.fetch_materializations(
            dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
        )
        .records[0]
        .storage_id
        for partition in keys
    }
    requested, fetch = [], instance.fetch_materializations
    monkeypatch.setattr(
        instance,
        "fetch_materializations",
        lambda *given, **options: requested.append(given) or fetch(*given, **options),
    )
    about = targets(instance, key, {*keys, "4"})
    assert {partition: each.storage_id for partition, each in about.items()} == newest
    del requested[:]
    assert {
        name: each.storage_id for name, each in targets(instance, key, set(keys)).items()
    } == newest
    assert len(requested) == 1 if not again else len(requested) <= 4
    assert targets(instance, key, {None})[None].storage_id == max(newest.values())
    assert targets(instance, dg.AssetKey("other"), {"1"}) == targets(instance, key, set()) == {}
