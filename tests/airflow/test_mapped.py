"""Mapped tasks: one for each pipeline, limited by a pool, each with a target of its own."""

import duckdb
import pytest

from tests.airflow.measuring import Measurements, counted
from tests.airflow.running import last_day
from vectorshift import Analytics, Pipeline

pytestmark = pytest.mark.airflow

DAY = last_day()
PIPELINES = ("pl_1", "pl_2")
QUERIES = [Analytics.query(object=Pipeline(each)).to_dict() for each in PIPELINES]
HEALTH = {"class": "VectorShiftAggregateOperator", "metrics": ["runs.sum", "errors.sum"]}


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of tasks that measure."""
    return Measurements(tmp_path, monkeypatch)


def test_each_pipeline_its_own(emulator, run, tmp_path):
    """Mapped with its table, named after its query, or without a target, each task has its own rows."""
    database = str(tmp_path / "health.duckdb")
    done = run(
        zipped={
            **HEALTH,
            "duckdb_path": database,
            "expand_kwargs": [
                {"query": query, "table": f"zipped_{each}"}
                for query, each in zip(QUERIES, PIPELINES, strict=True)
            ],
        },
        named={
            **HEALTH,
            "duckdb_path": database,
            "table": "named_{{ task.query.object_id }}",
            "expand": {"query": QUERIES},
        },
        returned={
            **HEALTH,
            "map_index_template": "{{ task.query.object_id }}",
            "expand": {"query": QUERIES},
        },
    )
    assert done.errors == []
    for number, each in enumerate(PIPELINES):
        ((_, runs, errors),) = counted(emulator, DAY, "1", f"object_id = '{each}'")
        row = {"bucket_start": DAY.to_dict()["start"], "runs_sum": runs, "errors_sum": errors}
        assert done.results["returned"][number] == [row]
        with duckdb.connect(database, read_only=True) as connection:
            for table in (f"zipped_{each}", f"named_{each}"):
                result = connection.execute(f"SELECT runs_sum, errors_sum FROM {table}").fetchall()
                assert result == [(runs, errors)]
    assert emulator.counters()["requests"] == {"aggregations": 3 * len(PIPELINES)}


def test_shared_targets_are_refused(emulator, run, tmp_path):
    """Mapped tasks that would write over each other fail at once, before anything is asked."""
    database = str(tmp_path / "health.duckdb")
    done = run(
        table={**HEALTH, "table": "health", "duckdb_path": database, "expand": {"query": QUERIES}},
        file={
            **HEALTH,
            "destination": str(tmp_path / "dt={{ ds }}.parquet"),
            "expand": {"query": QUERIES},
        },
        crossed={
            **HEALTH,
            "duckdb_path": database,
            "expand": {"query": QUERIES, "table": ["a", "b"]},
        },
        grouped={**HEALTH, "table": "health", "duckdb_path": database, "group": QUERIES},
    )
    assert done.state == "failed"
    assert len(done.errors) == 2 + 2 + 4 + 2
    assert {name for name, _ in done.errors} == {"AirflowFailException"}
    texts = sorted({text.partition(", so each")[0] for _, text in done.errors})
    assert texts == [
        f"VectorShiftAggregateOperator '{task}': it is mapped, and {name}= is the same for all of its tasks"
        for task, name in (
            ("crossed", "table"),
            ("file", "destination"),
            ("group.grouped", "table"),
            ("table", "table"),
        )
    ]
    assert emulator.counters()["requests"] == {}
    assert not list(tmp_path.glob("*.parquet"))


def test_tasks_mapped_over_windows_share_a_table(emulator, run, tmp_path):
    """Each replaces its own days, so that the table has them all."""
    database = str(tmp_path / "health.duckdb")
    days = [*DAY.earlier(2), DAY]
    done = run(
        days={
            **HEALTH,
            "duckdb_path": database,
            "table": "health",
            "max_active_tis_per_dagrun": 1,
            "expand_kwargs": [day.to_dict() for day in days],
        },
    )
    assert done.errors == []
    with duckdb.connect(database, read_only=True) as connection:
        starts = connection.execute("SELECT bucket_start FROM health ORDER BY 1").fetchall()
    assert [f"{start:%F}" for (start,) in starts] == [day.label for day in days]
