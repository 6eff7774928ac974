"""Mapped tasks: one for each pipeline, limited by a pool, each with a target of its own."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from airflow.sdk import DAG, ObjectStoragePath

from airflow_provider_vectorshift._mapped import require_own_target
from airflow_provider_vectorshift.operators import VectorShiftReportOperator
from tests.airflow.measuring import Measurements, counted
from tests.airflow.running import last_day
from vectorshift import Analytics, Pipeline
from vectorshift_orchestration.errors import SpecError

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
    """Mapped tasks that would write over each other fail at once, before any request."""
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
        page={
            "class": "VectorShiftReportOperator",
            "destination": str(tmp_path / "{{ ds }}.parquet"),
            "duckdb_path": database,
            "expand": {"tables": [["health"], ["models"]]},
        },
    )
    assert done.state == "failed"
    assert len(done.errors) == 2 + 2 + 4 + 2 + 2
    assert {name for name, _ in done.errors} == {"AirflowFailException"}
    texts = sorted({text.partition(", so each")[0] for _, text in done.errors})
    assert texts == [
        f"VectorShift{kind}Operator '{task}': it is mapped, and {name}= is the same for all of its tasks"
        for kind, task, name in (
            ("Aggregate", "crossed", "table"),
            ("Aggregate", "file", "destination"),
            ("Aggregate", "group.grouped", "table"),
            ("Aggregate", "table", "table"),
            ("Report", "page", "destination"),
        )
    ]
    assert emulator.counters()["requests"] == {}
    assert not list(tmp_path.glob("*.parquet"))


PAGE = {"tables": ["health"], "duckdb_path": "/data/health.duckdb"}
STARTS = ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]


@pytest.mark.parametrize(
    ("destination", "differs"),
    [
        (Path("/pages/day.html"), False),
        (Path("/pages/{{ task.start }}.html"), True),
        ("/pages/{{ ti.map_index }}.html", True),
        (ObjectStoragePath("s3://conn@pages/day.html"), False),
    ],
)
def test_a_path_counts_as_its_text(destination, differs):
    """A destination that is a path object is compared like a string: the same one for all tasks is refused."""
    with DAG("pages", schedule=None) as dag:
        mapped = VectorShiftReportOperator.partial(
            task_id="page", destination=destination, **PAGE
        ).expand(start=STARTS)
    task = SimpleNamespace(task_id=mapped.task_id, destination=str(destination))
    context = {"ti": SimpleNamespace(map_index=1), "dag": dag}
    refusal = nullcontext() if differs else pytest.raises(SpecError, match="it is mapped, and")
    with refusal:
        require_own_target(task, context, "destination", example="task.start")


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
