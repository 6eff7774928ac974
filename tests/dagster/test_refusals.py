"""What is refused when definitions load, because it would do nothing, or something else than it says."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from upath import UPath

from dagster_vectorshift import (
    DuckDBStorage,
    FileStorage,
    HealthTable,
    ParquetStorage,
    VectorShiftResource,
    build_check_alert_sensor,
    build_error_count_sensor,
    build_error_rate_check,
    build_export_asset,
    build_health_assets,
    build_health_freshness_checks,
    build_health_freshness_policy,
    build_health_schedule,
    build_rule_check,
)
from tests.days import MIDNIGHT
from vectorshift_orchestration.thresholds.rules import Absolute

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
STATIC = dg.StaticPartitionsDefinition(["a"])
TABLE = HealthTable("health")
REFUSED = dg.DagsterInvalidDefinitionError


def health(**changes):
    """A set of one table, with whatever a case changes."""
    return build_health_assets(**({"tables": [TABLE], "partitions_def": DAYS} | changes))


@pytest.mark.parametrize(
    ("make", "refusal", "told"),
    [
        (lambda: health(querry=None), TypeError, "no option 'querry'. Did you mean query?"),
        (lambda: build_export_asset("e", partitions_def=DAYS, formt="CSV"), TypeError, "format?"),
        (
            lambda: build_rule_check("a", Absolute(metric="errors.sum", warn=1), bloking=True),
            TypeError,
            "no option 'bloking'. Did you mean blocking?",
        ),
        (lambda: health(tables=TABLE), REFUSED, "tables is a list"),
        (lambda: health(tables=["health"]), REFUSED, "HealthTable('health')"),
        (lambda: health(owners="team:ai"), REFUSED, "write owners=['team:ai']"),
        (lambda: health(kinds="duckdb"), REFUSED, "write kinds=['duckdb']"),
        (lambda: health(as_type="pandas"), REFUSED, "give io_manager_key"),
        (
            lambda: build_export_asset("e", partitions_def=DAYS, format="PARQUET"),
            REFUSED,
            "format= cannot be 'PARQUET'. Known: ",
        ),
        (
            lambda: build_export_asset("e", partitions_def=DAYS, poll_interval=0),
            REFUSED,
            "Export e: poll_interval= is a number of seconds above 0",
        ),
        (lambda: build_error_rate_check("a", warn=5), REFUSED, "0.05 for 5 %, not 5"),
        (lambda: build_error_rate_check(["a"], warn=0.1), REFUSED, "not list"),
        (
            lambda: build_error_count_sensor("a", partitions_def=STATIC, warn=1),
            REFUSED,
            "sensor needs partitions of time",
        ),
        (
            lambda: build_error_count_sensor("a", partitions_def=DAYS, warn=1, lookback=-1),
            REFUSED,
            "lookback=-1",
        ),
        (lambda: build_check_alert_sensor(print, severity="error"), REFUSED, "WARN or ERROR"),
        (lambda: build_check_alert_sensor(print, assets="b"), REFUSED, "write assets=['b']"),
        (lambda: build_check_alert_sensor(print, checks="c"), REFUSED, "write checks=['c']"),
        (lambda: build_health_schedule(health(), settle=120), REFUSED, "timedelta(hours=2)"),
        (lambda: build_health_schedule(dg.AssetKey("a")), REFUSED, "assets with partitions"),
        (lambda: build_health_freshness_policy(STATIC), REFUSED, "policy needs partitions of time"),
        (
            lambda: build_health_freshness_checks(["a"], partitions_def=STATIC),
            REFUSED,
            "check needs partitions of time",
        ),
        (
            lambda: build_health_freshness_checks("a", partitions_def=DAYS),
            REFUSED,
            "write assets=['a']",
        ),
        (
            lambda: ParquetStorage(path=UPath("s3://bucket/a", key="k", secret="s")),
            ValueError,
            "storage options",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(make, refusal, told):
    """A misspelled option, one thing for a list, a limit that is never passed: each says what to write."""
    with pytest.raises(refusal) as caught:
        make()
    assert told in str(caught.value)


@pytest.mark.parametrize("partitions_def", [STATIC, dg.DynamicPartitionsDefinition(name="a")])
def test_only_partitions_of_time_are_taken(partitions_def):
    """Other partitions are refused with an example of what is meant, alone and as one of two dimensions."""
    both = dg.MultiPartitionsDefinition({"day": DAYS, "shop": STATIC})
    for refused in (partitions_def, both):
        for make in (health, lambda **given: build_export_asset("e", **given)):
            with pytest.raises(REFUSED, match="DailyPartitionsDefinition"):
                make(partitions_def=refused)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Path("/data/health"), "/data/health"),
        (UPath("memory://bucket/health"), "memory://bucket/health"),
        (UPath("s3://bucket/health"), "s3://bucket/health"),
        ("~/health", "~/health"),
    ],
)
def test_a_path_may_be_an_object(given, kept):
    """A `Path` and a `UPath` are kept as their text."""
    assert [each(path=given).path for each in (DuckDBStorage, ParquetStorage, FileStorage)] == [
        kept
    ] * 3


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        (FileStorage(path="/data"), "a FileStorage, which keeps no tables"),
        (DuckDBStorage(path="s3://bucket/health.duckdb"), "Take ParquetStorage"),
        (DuckDBStorage(path=":memory:"), "Give the path of a file"),
    ],
)
def test_a_storage_that_cannot_keep_the_table_is_named(
    emulator, tmp_path, monkeypatch, storage, told
):
    """The step fails for good, says what to give, and leaves no file of a strange name."""
    monkeypatch.chdir(tmp_path)
    account = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
    done = dg.materialize(
        [health(retry_policy=dg.RetryPolicy(max_retries=3))],
        partition_key=str(MIDNIGHT.date() - timedelta(days=1)),
        resources={"vectorshift": account, "storage": storage},
        raise_on_error=False,
    )
    (failure,) = done.get_step_failure_events()
    assert told in str(failure.step_failure_data)
    assert not list(tmp_path.iterdir())
