"""Templates come out as what was written: texts stay texts, and nothing is never everything."""

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
    VectorShiftThresholdCheckOperator,
)
from vectorshift.analytics import Analytics

NIGHT = {
    "data_interval_start": datetime(2026, 11, 22, tzinfo=UTC),
    "data_interval_end": datetime(2026, 11, 23, tzinfo=UTC),
}


def filled(arguments, *, native=True, operator=VectorShiftExportOperator, context=None, **params):
    """An operator whose templates were filled in."""
    with DAG("d", render_template_as_native_obj=native, schedule=None):
        if operator is VectorShiftExportOperator:
            arguments = {"destination": "x.csv"} | arguments
        task = operator(task_id="t", **arguments)
    task.render_template_fields({"params": params} | (NIGHT if context is None else context))
    return task


@pytest.mark.parametrize("native", [True, False])
def test_literals_are_not_rendered(native):
    """A message of digits and ids with an e in them are texts, also in a DAG of native objects."""
    query = Analytics.query(object_type="pipeline").where(error_message="404", trace_id="1e5")
    arguments = {"query": query, "table": "2024", "duckdb_path": "1_000", "destination": None}
    task = filled(arguments, native=native)
    assert task.query == query.to_dict()
    assert (task.table, task.duckdb_path) == ("2024", "1_000")


@pytest.mark.parametrize("text", ["404", "007", "1e5", "1_000", "0x1F", "True", "6.10"])
@pytest.mark.parametrize("native", [True, False])
def test_an_id_keeps_its_text(native, text):
    """What a parameter holds arrives letter by letter."""
    query = {"object_type": "pipeline", "object_id": "{{ params.id }}"}
    assert filled({"query": query}, native=native, id=text).query["object_id"] == text


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        {"query": {"object_type": "pipeline", "object_id": "{{ params.nothing }}"}},
        {"query": {"object_type": "pipeline", "object_id": "{{ params.blank }}"}},
        {"query": {"object_type": "pipeline", "object_id": "{{ params.unknown }}"}},
        {"query": {"object_type": "pipeline", "object_id": "pl_{{ params.nothing }}"}},
        {"query": {"object_type": "pipeline", "object_id": "{{ var_of_nobody }}"}},
        {"query": {"kinds": ["{{ params.nothing }}"]}},
        {"query": "{{ params.nothing }}"},
        {"destination": "{{ params.nothing }}"},
        {"destination": "lake/{{ params.nothing }}/x.csv"},
        {"destination": None, "table": "{{ params.blank }}", "duckdb_path": "x.duckdb"},
        {"start": "{{ params.nothing }}"},
        {"vectorshift_conn_id": "{{ params.blank }}"},
    ],
)
def test_what_comes_out_as_nothing_is_refused(native, arguments):
    """An unset parameter selects nothing: neither every event, nor another place."""
    with pytest.raises(AirflowFailException, match=r"\{\{ .* \}\}.* renders to nothing"):
        filled(arguments, native=native, nothing=None, blank=" ")


@pytest.mark.parametrize(
    "operator", [VectorShiftAggregateOperator, VectorShiftThresholdCheckOperator]
)
def test_other_operators_refuse_it_too(operator):
    """The rule is one for all operators: metrics, groups and rules are no exception."""
    arguments = {
        VectorShiftAggregateOperator: {"metrics": ["{{ params.nothing }}"]},
        VectorShiftThresholdCheckOperator: {
            "rule": {"rule": "absolute", "metric": "errors.sum", "error": "{{ params.nothing }}"}
        },
    }
    with pytest.raises(AirflowFailException, match="renders to nothing"):
        filled(arguments[operator], operator=operator, nothing=None)


def test_objects_stay_objects_where_dags_are_native():
    """A query and metrics that another task or a parameter gives whole are taken as they are."""
    query = {"object_type": "pipeline", "object_id": "404"}
    task = filled(
        {"query": "{{ params.query }}", "metrics": "{{ params.metrics }}"},
        operator=VectorShiftAggregateOperator,
        query=query,
        metrics=["runs.sum"],
    )
    assert (task.query, task.metrics) == (query, ["runs.sum"])


def test_a_run_without_an_interval_says_so():
    """Templates of the data interval, in a run by hand that has none, end in a sentence at once."""
    for template in (
        "{{ data_interval_start }}",
        "{{ data_interval_start | ds }}",
        "{{ data_interval_start.date() }}",
    ):
        arguments = {"start": template, "end": "2026-11-23T00:00:00Z"}
        with pytest.raises(AirflowFailException, match="has no data interval"):
            filled(arguments, context={"data_interval_start": None})
        with pytest.raises(AirflowFailException, match="has no data interval"):
            filled(arguments, context={"ds": "x"})
