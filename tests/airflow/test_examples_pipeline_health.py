"""The example pipeline_health, run as its users run it."""

from datetime import timedelta

import duckdb
import pytest

from tests.airflow.conftest import EXAMPLES
from tests.airflow.measuring import counted, result
from tests.airflow.running import last_day, run_dag
from vectorshift_orchestration import Window

pytestmark = pytest.mark.airflow

DAY = last_day()
ONE_EACH = 3 + 1 + 2 + 1 + 1
"""Requests of a run: for the tables, the latency, two pipelines, the errors and the totals."""

BY_DAY = "strftime(date_trunc('day', start_time), '%xT%XZ')"


def in_table(home, table, columns):
    """Rows of a table that the example wrote, in order."""
    with duckdb.connect(str(home / "health.duckdb"), read_only=True) as connection:
        return connection.execute(
            f"SELECT {columns} FROM {table} GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def totals(rows):
    """The sums of the columns after the first."""
    return [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]


def state(run, task_id):
    """The state of a task that is not mapped."""
    return str(run.get_task_instance(task_id).state)


def test_pipeline_health(emulator, tmp_path, monkeypatch, metadata_database):
    """A good day lands and is reported; a pause of three days is caught up in one request a table."""
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    paused = DAY.start - timedelta(days=3)
    first = run_dag("pipeline_health", paused, str(EXAMPLES))
    assert str(first.state) == "success"
    assert [each["window"] for each in result(first, "measure")] == [
        Window(paused - timedelta(days=1), paused).to_dict()
    ] * 3
    assert result(first, "summary").startswith(
        f"{result(first, 'totals')[0]['runs_sum']} runs since"
    )

    missed = Window(paused, DAY.end)
    emulator.burst(30, at=DAY.start, object_id="pl_2", error_message="quota exceeded")
    before = emulator.counters()["requests"]["aggregations"]
    second = run_dag("pipeline_health", DAY.end, str(EXAMPLES))
    assert [each["window"] for each in result(second, "measure")] == [missed.to_dict()] * 3
    requested = emulator.counters()["requests"]["aggregations"] - before
    assert requested == ONE_EACH

    assert result(second, "page")["window"] == DAY.to_dict()
    page = (tmp_path / "health.html").read_text()
    assert "Latency</h2>" in page
    assert "Pipelines that fail most</h2>" in page

    both = Window(paused - timedelta(days=1), DAY.end)
    hours = in_table(tmp_path, "health_by_hour", "bucket_start, runs_sum, errors_sum")
    days = counted(emulator, both, BY_DAY)
    assert totals(hours) == totals(days)
    assert in_table(
        tmp_path, "health_by_pipeline", "pipeline_id, sum(runs_sum)::INT, sum(errors_sum)::INT"
    ) == counted(emulator, both, "pipeline_id")

    (reported,) = result(second, "tell")
    assert reported.startswith("pl_2: In ")
    assert "past the ERROR limit of 10" in reported
    assert not result(second, "check_errors")["ok"]
    assert (state(second, "healthy"), state(second, "summary")) == ("success", "skipped")


def test_a_run_by_hand_repeats_the_day(emulator, tmp_path, monkeypatch, metadata_database):
    """After the day's own run has succeeded, one by hand measures that day again, not an empty window."""
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    assert str(run_dag("pipeline_health", DAY.end, str(EXAMPLES)).state) == "success"
    rows = in_table(tmp_path, "health_by_hour", "bucket_start, runs_sum")
    again = run_dag("pipeline_health", DAY.end + timedelta(hours=1), str(EXAMPLES))
    assert str(again.state) == "success"
    assert [each["window"] for each in result(again, "measure")] == [DAY.to_dict()] * 3
    assert in_table(tmp_path, "health_by_hour", "bucket_start, runs_sum") == rows != []


def test_any_range_again(emulator, tmp_path, monkeypatch, metadata_database):
    """Triggered by hand with start and end, and no data interval, thirty days are one request a table."""
    monkeypatch.setenv("VECTORSHIFT_EXAMPLES_HOME", str(tmp_path))
    month = DAY.lookback(29)
    run = run_dag("pipeline_health", None, str(EXAMPLES), month.to_dict())
    assert (str(run.state), run.logical_date) == ("success", None)
    assert [each["window"] for each in result(run, "measure")] == [month.to_dict()] * 3
    assert emulator.counters()["requests"]["aggregations"] == ONE_EACH
    days = in_table(tmp_path, "health_by_model", "bucket_start, count(*)")
    assert len(days) == len(counted(emulator, month, BY_DAY)) > 10
