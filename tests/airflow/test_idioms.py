"""What Airflow's users do with any operator: copy, subclass, map, set defaults, hand over results."""

import copy
import inspect
import pickle
import re
from datetime import timedelta

import pytest
from airflow.sdk import DAG

from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
    VectorShiftThresholdCheckOperator,
)
from airflow_provider_vectorshift.sensors import (
    VectorShiftErrorCountSensor,
    VectorShiftExportSensor,
)
from tests.airflow.running import last_day, run_dag
from vectorshift import Analytics
from vectorshift_orchestration import Absolute

QUERY = Analytics.query(object_type="pipeline")
TASKS = {
    VectorShiftExportOperator: {"query": QUERY, "destination": "x.csv"},
    VectorShiftAggregateOperator: {"query": QUERY, "metrics": ["runs.sum"], "interval": "hour"},
    VectorShiftThresholdCheckOperator: {"rule": Absolute(metric="errors.sum", error=1)},
    VectorShiftErrorCountSensor: {"query": QUERY, "threshold": 3},
    VectorShiftExportSensor: {"export_id": "ex_1"},
}


def fields(task):
    """What a task is, as its template fields say."""
    return {name: getattr(task, name) for name in task.template_fields}


@pytest.mark.parametrize("kind", TASKS)
def test_tasks_are_copied(kind):
    """A task can be copied and pickled, by itself and as Airflow prepares it for a run."""
    task = kind(task_id="task", **TASKS[kind])
    for again in (
        copy.deepcopy(task),
        pickle.loads(pickle.dumps(task)),
        task.prepare_for_execution(),
    ):
        assert (type(again), fields(again)) == (kind, fields(task))


@pytest.mark.parametrize("kind", TASKS)
def test_default_args(kind):
    """A DAG's default arguments reach ours and Airflow's own, also of mapped tasks."""
    defaults = {"vectorshift_conn_id": "vs_eu", "retries": 3, "trigger_rule": "all_done"}
    defaults |= {"execution_timeout": timedelta(minutes=5), "doc_md": "Text"}
    with DAG("defaults", schedule=None, default_args=defaults):
        task = kind(task_id="task", **TASKS[kind])
        mapped = kind.partial(task_id="mapped", **TASKS[kind]).expand(doc=["a", "b"])
        task >> mapped
    assert {name: getattr(task, name) for name in defaults} == defaults
    assert (mapped.retries, mapped.trigger_rule) == (3, "all_done")
    assert mapped.upstream_task_ids == {"task"}


@pytest.mark.parametrize("kind", TASKS)
def test_subclasses(kind):
    """A subclass adds an argument and a template field, and is named by its own name."""

    class Ours(kind):
        template_fields = (*kind.template_fields, "team")

        def __init__(self, *, team, **kwargs):
            super().__init__(**kwargs)
            self.team = team

    assert fields(Ours(task_id="task", team="data", **TASKS[kind]))["team"] == "data"
    (argument, *_) = TASKS[kind]
    wrong = "" if argument == "export_id" else {"no": "such"}
    with pytest.raises(ValueError, match=f"Ours 'task': {argument}="):
        Ours(task_id="task", team="data", **TASKS[kind] | {argument: wrong})


def arguments_of(kind):
    """The arguments that the signature of an operator shows, but Airflow's own."""
    displayed = inspect.signature(kind).parameters.values()
    return {each.name: each.default for each in displayed if each.kind is each.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", TASKS)
def test_every_argument_is_shown_and_described(kind):
    """Editors and `help` show each argument that a class takes, also those of its bases, and its docstring tells each."""
    displayed = arguments_of(kind)
    for base in kind.__mro__:
        if base.__module__.startswith("airflow_provider_vectorshift") and "__init__" in vars(base):
            taken = set(arguments_of(base)) - {"lookback"}  # a sensor looks back over nothing
            assert taken <= set(displayed), base
    for name in displayed:
        assert re.search(rf"^ +(\w+, )*{name}(, \w+)*: ", kind.__doc__, re.MULTILINE), name


GIVEN = {
    "query": QUERY.to_dict(),
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-02T00:00:00Z",
    "lookback": 1,
    "vectorshift_conn_id": "vs_eu",
    "table": "{{ params.table }}",
    "duckdb_path": "x.duckdb",
    "source": "orders",
    "replace_other": True,
    "replace_characters": True,
}


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(
    "more",
    [{}, {"duckdb_path": None, "sql_conn_id": "db"}, {"destination": "x.parquet", "lookback": 0}],
    ids=str,
)
def test_no_argument_is_lost(kind, more):
    """What is given to an operator is what it has, whichever of its classes keeps it."""
    reported = TASKS[kind] | {"destination": None, "parquet": "destination" in more} | GIVEN | more
    arguments = {name: reported[name] for name in arguments_of(kind) if name in reported}
    task = kind(task_id="task", **arguments)
    arguments.pop("threshold", None)  # which becomes a rule
    arguments |= {"rule": task.rule} if "rule" in arguments else {}  # which becomes JSON
    assert {name: getattr(task, name) for name in arguments} == arguments


@pytest.mark.airflow
def test_a_run_without_a_logical_date(emulator, metadata_database, monkeypatch, tmp_path):
    """Results of other tasks, native templates, mapping and aliases work in a run by hand with explicit ends."""
    monkeypatch.setenv("IDIOMS_FOLDER", str(tmp_path))
    emulator.burst(3, at=last_day().start)
    run = run_dag("idioms", None)
    result = {
        (task.task_id, task.map_index): task.xcom_pull(
            task_ids=task.task_id, map_indexes=task.map_index
        )
        for task in run.get_task_instances()
    }
    assert str(run.state) == "success"
    window = result["check", -1]["window"]
    exported = result["export", -1]
    assert exported["window"]["end"] == window["end"]
    assert exported["window"]["start"] < window["start"]  # lookback
    failed = emulator.truth(
        "SELECT count(*) AS everywhere, count(*) FILTER (entity = 'pipeline') AS pipelines FROM events "
        f"WHERE is_run AND status = 'failure' AND start_time >= TIMESTAMP '{last_day().start:%F %T}'"
    )[0]
    assert sum(row["errors_sum"] for row in result["figures", -1]) == failed["pipelines"] >= 3
    assert (result["check", -1]["state"], result["pulled", -1]["state"]) == ("ok", "breached")
    observed = [result[name, -1]["observed"] for name in ("sensor", "pulled")]
    assert observed == [failed["everywhere"]] * 2
    everything, pipelines = result["mapped", 0], result["mapped", 1]
    assert everything["rows"] > pipelines["rows"] > 0
    assert pipelines["uri"] == f"file://{tmp_path}/pipelines.csv"
