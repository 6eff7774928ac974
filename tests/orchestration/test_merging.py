"""Figures of parts (slices, buckets of time): merged to the right figure, or refused."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

from vectorshift_orchestration import amounts
from vectorshift_orchestration.aggregates.merging import merge_rows, mergeable
from vectorshift_orchestration.errors import AggregationShapeError, MergeError
from vectorshift_orchestration.specs import AggregationSpec


def nearly(rows, expected):
    """The same rows, but that the service's own floats may be rounded otherwise."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            close = isinstance(value, float) and math.isclose(value, other[name], rel_tol=1e-12)
            assert close or value == other[name], name


MEANS = AggregationSpec(["latency.mean", "latency.min", "latency.max", "latency.sum", "error_rate"])
runs_of_an_object = st.lists(
    st.tuples(st.none() | st.integers(1, 10**6).map(lambda n: n / 8), st.booleans()), max_size=6
)


def figures(runs):
    """What the service says of some runs: (latency or None, failed)."""
    existing = [latency for latency, _ in runs if latency is not None]
    return {
        "latency_mean": math.fsum(existing) / len(existing) if existing else None,
        "latency_min": min(existing, default=None),
        "latency_max": max(existing, default=None),
        "latency_sum": math.fsum(existing),
        "errors_sum": sum(failed for _, failed in runs),
        "runs_sum": len(runs),
    }


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(runs_of_an_object, min_size=1, max_size=5))
def test_the_algebra_agrees_with_the_whole(objects):
    """However runs are shared out among objects, the merged figures are those of all runs."""
    whole = figures([run for runs in objects for run in runs])
    merged = merge_rows([figures(runs) for runs in objects], MEANS)
    rate = whole["errors_sum"] / whole["runs_sum"] if whole["runs_sum"] else None
    expected = {name: whole[name] for name in merged if name != "error_rate"}
    nearly([merged], [expected | {"error_rate": rate}])


def row(total, mean, runs):
    return {"tokens_sum": total, "tokens_mean": mean, "runs_sum": runs}


@pytest.mark.parametrize(
    ("parts", "mean"),
    [
        ([row(0, 0.0, 2), row(0, 0.0, 1)], 0.0),
        ([row(0, None, 4), row(8, 4.0, 2)], 4.0),  # 4 runs without a figure
        ([row(30, 10.0, 5), row(20, 20.0, 1)], 12.5),  # 3 of 5 runs have one
    ],
)
def test_a_mean_of_means_is_weighted_by_their_values(parts, mean):
    """The weight is the number of values behind each mean, told by its sum."""
    assert merge_rows(parts, AggregationSpec(["tokens.mean"])) == {"tokens_mean": mean}


def test_a_mean_of_errors_is_weighted_by_the_runs():
    """Every run failed or did not, so an object without failures weighs all of its runs."""
    parts = [
        {"errors_sum": 3, "errors_mean": 0.5, "runs_sum": 6},
        {"errors_sum": 0, "errors_mean": 0.0, "runs_sum": 4},
    ]
    assert merge_rows(parts, AggregationSpec(["errors.mean"])) == {"errors_mean": 0.3}


@pytest.mark.parametrize(
    "parts",
    [
        [row(30, 10.0, 3), row(0, 0.0, 7)],  # 0 tokens: in 7 runs, or in some of them?
        [row(31, 10.0, 5), row(20, 20.0, 1)],  # 3.1 values
    ],
)
def test_a_mean_whose_weight_is_unknown_is_refused(parts):
    """Where sum and mean do not tell the number of values, no number is made up."""
    with pytest.raises(MergeError, match="of how many values") as caught:
        merge_rows(parts, AggregationSpec(["tokens.mean"]))
    assert caught.value.metric == "tokens.mean"


AMOUNTS = AggregationSpec([f"model_costs.{op}" for op in ("sum", "mean", "min", "max")])
costs = st.decimals(0, 10**6, places=12)


def costs_of(values):
    """What the tables say of some costs: exact, but for the mean, which has 12 places."""
    return {
        "model_costs_sum": amounts.total(values, "sum"),
        "model_costs_mean": amounts.share(sum(values), len(values), "mean") if values else None,
        "model_costs_min": min(values, default=None),
        "model_costs_max": max(values, default=None),
        "runs_sum": 2 * len(values),
    }


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(st.lists(costs, max_size=8), min_size=1, max_size=6))
def test_amounts_of_parts_are_exactly_those_of_the_whole(objects):
    """Sums, extremes and means of money equal those of the whole, digit by digit."""
    whole = costs_of([cost for each in objects for cost in each])
    del whole["runs_sum"]
    parts = [costs_of(each) for each in objects]
    assert merge_rows(parts, AggregationSpec(AMOUNTS.metrics[2:])) == {
        name: whole[name] for name in ("model_costs_min", "model_costs_max")
    }
    assert merge_rows(parts, AggregationSpec(["model_costs.sum"])) == {
        "model_costs_sum": whole["model_costs_sum"]
    }
    means = [part["model_costs_mean"] for part in parts]
    if all(mean is None or mean > Decimal("1e-10") for mean in means):  # else a digit may be short
        assert merge_rows(parts, AggregationSpec(["model_costs.mean"])) == {
            "model_costs_mean": whole["model_costs_mean"]
        }


def test_a_tenth_and_two_tenths_are_three_tenths():
    """What doubles cannot do: the merged sum of 0.1 and 0.2 is 0.3, to any number of parts."""
    parts = [{"model_costs_sum": Decimal("0.1")}, {"model_costs_sum": Decimal("0.2")}] * 1000
    merged = merge_rows(parts, AggregationSpec(["model_costs.sum"]))
    assert merged == {"model_costs_sum": Decimal(300)}


@pytest.mark.parametrize(("count", "refused"), [(1000, False), (10**7, True)])
def test_a_mean_of_amounts_needs_a_weight_that_its_last_digit_tells(count, refused):
    """A mean of a millionth has 6 digits: enough to tell 1,000 values, not ten million."""
    mean = Decimal("0.000001")
    part = {"model_costs_sum": mean * count, "model_costs_mean": mean, "runs_sum": count}
    spec = AggregationSpec(["model_costs.mean"])
    if refused:
        with pytest.raises(MergeError, match="of how many values"):
            merge_rows([part, part], spec)
    else:
        assert merge_rows([part, part], spec) == {"model_costs_mean": mean}


def test_a_sum_that_has_no_room_is_an_error():
    """Two amounts of 26 digits whose sum has 27: refused, not rounded."""
    part = {"model_costs_sum": Decimal(6) * 10**25}
    with pytest.raises(AggregationShapeError, match="26 digits"):
        merge_rows([part, part], AggregationSpec(["model_costs.sum"]))


def test_the_metrics_requested_for_a_merge():
    """A mean brings its sum and the runs, a ratio its two metrics; each is asked once."""
    spec = AggregationSpec(["latency.mean", "error_rate", "runs.sum"], ["time"], "day")
    requested = mergeable(spec)
    assert requested.metrics == ("latency.mean", "latency.sum", "runs.sum", "errors.sum")
    assert (requested.group_by, requested.interval) == (("time",), "day")


@pytest.mark.parametrize(
    ("metric", "rows", "problem"),
    [
        ("runs.sum", [{"runs_sum": 2**63 - 1}, {"runs_sum": 1}], AggregationShapeError),
        ("latency.sum", [{"latency_sum": 1.7e308}] * 2, AggregationShapeError),
        (
            "latency.mean",
            [{"latency_sum": 1e308, "latency_mean": 1e-10, "runs_sum": 1}],
            MergeError,
        ),
        ("errors.mean", [{"errors_sum": 0, "errors_mean": 0.5, "runs_sum": 0}], MergeError),
        ("latency.mean", [{"latency_sum": None, "latency_mean": 5.0, "runs_sum": 1}], MergeError),
    ],
)
def test_figures_that_make_no_sense_together_are_refused(metric, rows, problem):
    """More than 64 bits, or means without values: a typed error, whatever the service says."""
    with pytest.raises(problem):
        merge_rows(rows, AggregationSpec([metric]))


@pytest.mark.parametrize("metric", ["latency.p95", "users.count_distinct"])
def test_what_cannot_be_merged_is_refused(metric):
    """Percentiles are not averaged and distinct counts are not added."""
    with pytest.raises(MergeError, match="must not be") as caught:
        mergeable(AggregationSpec([metric]))
    assert caught.value.metric == metric
