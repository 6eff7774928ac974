"""Several tasks and one table: nobody's rows are replaced unseen, and sharing takes one argument."""

import json

import duckdb
import pytest

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
)
from tests.airflow.running import last_day
from vectorshift import Analytics, Pipeline

pytestmark = pytest.mark.airflow

DAY = last_day()
OPERATORS = {
    "export": (VectorShiftExportOperator, {"poll_interval": 0.05}),
    "aggregate": (VectorShiftAggregateOperator, {"metrics": ["runs.sum"]}),
}


def night(kind, pipeline, folder, **arguments):
    """One task's night: a pipeline's rows in the table that all share."""
    operator, needed = OPERATORS[kind]
    everything = {
        "query": Analytics.query(object=Pipeline(pipeline)),
        "table": "shared",
        "duckdb_path": folder / "shared.duckdb",
        "start": DAY.start,
        "end": DAY.end,
    }
    return operator(task_id=pipeline, **(everything | needed | arguments)).execute({})


def counted(folder, grouped="1"):
    with duckdb.connect(str(folder / "shared.duckdb"), read_only=True) as connection:
        rows = connection.execute(f"SELECT {grouped}, count(*) FROM shared GROUP BY 1 ORDER BY 1")
        return dict(rows.fetchall())


@pytest.mark.parametrize("kind", OPERATORS)
def test_another_query_is_refused(emulator, tmp_path, kind):
    """A loop over pipelines, or a second DAG: the second task fails at once and names the ways out."""
    first = night(kind, "pl_1", tmp_path)
    requested = emulator.counters()["requests"]
    with pytest.raises(AirflowFailException, match=r"WindowTakenError.*source"):
        night(kind, "pl_2", tmp_path)
    assert emulator.counters()["requests"] == requested  # refused before anything is asked for
    assert sum(counted(tmp_path).values()) == first["rows"]
    assert night(kind, "pl_1", tmp_path)["rows"] == first["rows"]


def test_another_account_is_refused(emulator, monkeypatch, tmp_path):
    """The same query of two accounts is two sets of rows."""
    night("export", "pl_1", tmp_path)
    other = {"conn_type": "vectorshift", "host": emulator.base_url, "password": emulator.api_key}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(other))
    with pytest.raises(AirflowFailException, match="WindowTakenError"):
        night("export", "pl_1", tmp_path, vectorshift_conn_id="other")


@pytest.mark.parametrize("kind", OPERATORS)
def test_a_source_of_ones_own_shares_a_table(emulator, tmp_path, kind):
    """Each task replaces the rows of its source only, as often as it runs."""
    rows = {
        pipeline: night(kind, pipeline, tmp_path, source=pipeline)["rows"]
        for pipeline in ("pl_1", "pl_2", "pl_1")
    }
    assert counted(tmp_path, "source_name") == rows
    assert len(rows) == 2


@pytest.mark.parametrize("kind", OPERATORS)
def test_the_user_may_replace_another_query(emulator, tmp_path, kind):
    """A query that was changed on purpose takes the place of the old one's rows, if one says so."""
    night(kind, "pl_1", tmp_path)
    done = night(kind, "pl_2", tmp_path, replace_other=True)
    assert sum(counted(tmp_path).values()) == done["rows"]


def test_a_source_needs_a_table(tmp_path):
    """Where the DAG is read, with the argument's name."""
    for arguments in ({"source": "x"}, {"replace_other": True}):
        with pytest.raises(ValueError, match=f"{next(iter(arguments))}= needs table="):
            VectorShiftExportOperator(task_id="t", destination="x.csv", **arguments)
    with pytest.raises(ValueError, match="source= cannot be used"):
        VectorShiftExportOperator(
            task_id="t",
            table="t",
            duckdb_path="x.duckdb",
            source=" a",
            start=DAY.start,
            end=DAY.end,
        )
