"""Metrics and slices in plain words, checked when they are written down."""

from __future__ import annotations

import pytest

from vectorshift.analytics import AggregationField, AggregationOp, GroupBy, Interval, Percentile
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec, Metric, QuerySpec, Ratio, parse_metric


@pytest.mark.parametrize(
    ("text", "field", "op", "column"),
    [
        ("runs.sum", "runs", AggregationOp.SUM, "runs_sum"),
        ("LATENCY.P95", "latency", Percentile(95), "latency_p95"),
        ("model_costs.sum", "model_costs", AggregationOp.SUM, "model_costs_sum"),
        ("users.count_distinct", "users", AggregationOp.COUNT_DISTINCT, "users_count_distinct"),
        ("node_latency.p50", "node_latency", Percentile(50), "node_latency_p50"),
    ],
)
def test_a_shorthand_names_an_operation_and_a_column(text, field, op, column):
    """`field.op` in either case becomes the SDK's operation and a column name."""
    metric = parse_metric(text)
    assert isinstance(metric, Metric)
    assert (metric.operation.field, metric.operation.op) == (AggregationField(field), op)
    assert metric.column == column


def test_the_error_rate_is_derived_from_two_metrics():
    """It asks for errors and runs, once each, also when they are requested separately."""
    assert isinstance(parse_metric("error_rate"), Ratio)
    spec = AggregationSpec(["error_rate", "runs.sum"])
    assert [metric.column for metric in spec.measured] == ["errors_sum", "runs_sum"]
    assert [column.column for column in spec.columns] == ["error_rate", "runs_sum"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("eror_rate", "error_rate"),
        ("rusn.sum", "runs"),
        ("runs.summ", "sum"),
        ("latency.p90", "95"),
        ("runs.p95", "latency"),
        ("runs", "runs.sum"),
        ("", "runs.sum"),
    ],
)
def test_an_unknown_metric_names_the_nearest(text, hint):
    """A misspelt metric is refused with what was probably meant."""
    with pytest.raises(SpecError, match="Metric") as caught:
        AggregationSpec([text])
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"metrics": []}, "at least one"),
        ({"metrics": "runs.sum"}, "list of names"),
        ({"metrics": None}, "list of names, not None"),
        ({"metrics": {"runs.sum": 1}}, "list of names, not"),
        ({"metrics": [None]}, "Metric 'none' does not exist"),
        ({"metrics": ["runs.sum"], "group_by": True}, "group_by is a list of names"),
        ({"metrics": ["runs.sum"], "group_by": ["time"], "interval": 1}, "such as day, not 1"),
        ({"metrics": ["runs.sum", "RUNS.sum"]}, "twice"),
        ({"metrics": ["runs.sum"], "group_by": ["modle_id"]}, "Did you mean model_id"),
        ({"metrics": ["runs.sum"], "group_by": ["time"]}, "needs an interval"),
        ({"metrics": ["runs.sum"], "interval": "day"}, "needs an interval"),
        (
            {"metrics": ["runs.sum"], "group_by": ["time"], "interval": "dya"},
            "Did you mean day",
        ),
    ],
)
def test_an_impossible_spec_is_refused(arguments, part):
    """Empty, doubled, misspelt and half-given specs are errors where they are written."""
    with pytest.raises(SpecError, match=part):
        AggregationSpec(**arguments)


def test_a_spec_uses_the_sdks_names():
    """Operations, dimensions and interval are what `raw_aggregate` takes."""
    spec = AggregationSpec(["runs.sum"], ["TIME", "model_id"], "DAY")
    assert spec.dimensions() == [GroupBy.TIME, GroupBy.MODEL_ID]
    assert spec.bucket_width() is Interval.DAY
    assert [operation.shorthand for operation in spec.operations()] == ["runs.sum"]
    assert AggregationSpec(["runs.sum"]).dimensions() is None


@pytest.mark.parametrize("value", [None, 5, ["runs.sum"], {"metric": "runs.sum"}])
def test_a_metric_is_a_name(value):
    """What is not text names no metric, and the error is ours."""
    with pytest.raises(SpecError, match=r"such as runs\.sum, not"):
        parse_metric(value)


def test_templates_may_leave_numbers_as_text_and_blanks_around_names():
    """A page size out of a template is a text; two spellings of one metric are one metric."""
    spec = QuerySpec.from_dict({"limit": "{{ n }}", "offset": "{{ n }}"}, lambda _: "20")
    assert (spec.limit, spec.offset) == (20, 20)
    assert AggregationSpec([" runs.sum "]) == AggregationSpec(["runs.sum"])
    with pytest.raises(SpecError, match="twice"):
        AggregationSpec(["runs.sum", " runs.sum"])
    with pytest.raises(SpecError, match="limit"):
        QuerySpec(limit="many")
