"""Figures of many objects: merged to the right figure, kept apart, or refused."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

from tests.sdk.scripted import Answer, serving
from vectorshift import Client
from vectorshift.errors import BadRequestError
from vectorshift_orchestration import amounts
from vectorshift_orchestration.aggregates.merging import merge_rows, mergeable
from vectorshift_orchestration.errors import (
    AggregationShapeError,
    MergeError,
    SpecError,
    WindowError,
)
from vectorshift_orchestration.extract import aaggregate, aggregate
from vectorshift_orchestration.extract.fan_out import in_tasks
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

START = datetime(2026, 11, 22, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
MERGEABLE = [
    "runs.sum",
    "errors.sum",
    "error_rate",
    "tokens.sum",
    "latency.min",
    "latency.max",
    "latency.mean",
    "model_costs.sum",
    "model_costs.mean",
]
OBJECTS = ["pl_1", "pl_2", "pl_3"]


def fill(blank):
    """Runs of three objects over three hours; one is in progress and has no latency yet."""
    rows = [
        {
            "object_id": OBJECTS[number % 3],
            "pipeline_id": OBJECTS[number % 3],
            "model_id": ["gpt-4o", "claude-x"][number % 2],
            "start_time": (START + timedelta(minutes=5 * number)).isoformat(),
            "status": "failure" if number % 5 == 0 else "success",
            "latency": None if number == 7 else 100.25 + 10 * number,
            "tokens": 3 * number,
            "model_costs": 0.1 + number / 1000,
            "user_id": f"u_{number % 4}",
        }
        for number in range(36)
    ]
    blank.insert(rows)


def nearly(rows, expected):
    """The same rows, but that the service's own floats may be rounded otherwise."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            close = isinstance(value, float) and math.isclose(value, other[name], rel_tol=1e-12)
            assert close or value == other[name], name


@pytest.mark.parametrize(
    ("group_by", "interval"),
    [((), None), (("time",), "hour"), (("model_id", "time"), "day"), (("pipeline_id",), None)],
)
def test_merged_figures_are_those_of_the_whole(group_by, interval, blank, client):
    """Sums, extremes, means and rates of three objects equal what the service says of them all."""
    fill(blank)
    spec = AggregationSpec(MERGEABLE, group_by, interval)
    merged = aggregate(client.query(), DAY, spec, object_ids=OBJECTS)
    whole = aggregate(client.query(), DAY, spec)
    assert merged.schema == whole.schema
    order = [("bucket_start", "ascending")]
    order += [(name, "ascending") for name in group_by if name != "time"]
    nearly(merged.to_pylist(), whole.sort_by(order).to_pylist())


def test_objects_without_events_change_nothing(blank, client):
    """An object that nobody ran adds no rows and no zeros to a mean."""
    fill(blank)
    spec = AggregationSpec(MERGEABLE)
    some = aggregate(client.query(), DAY, spec, object_ids=[*OBJECTS, "pl_none", "pl_1"])
    assert (
        some.to_pylist()
        == aggregate(client.query(), DAY, spec, object_ids=reversed_order(OBJECTS)).to_pylist()
    )
    [nothing] = aggregate(client.query(), DAY, spec, object_ids=["pl_none"]).to_pylist()
    assert (nothing["runs_sum"], nothing["latency_mean"], nothing["error_rate"]) == (0, None, None)
    sliced = AggregationSpec(["runs.sum"], ["time"], "hour")
    assert aggregate(client.query(), DAY, sliced, object_ids=["pl_none"]).num_rows == 0


def reversed_order(names):
    return list(reversed(names))


def test_rows_per_object_work_for_every_metric(blank, client):
    """Percentiles and distinct counts stay with their object, in a column beside the bucket."""
    fill(blank)
    spec = AggregationSpec(["latency.p95", "users.count_distinct", "latency.mean"])
    table = aggregate(client.query(), DAY, spec, object_ids=OBJECTS, per_object=True)
    assert table.column_names[:2] == ["bucket_start", "object_id"]
    alone = [
        aggregate(client.query(object_ids=[each]), DAY, spec).to_pylist()[0] for each in OBJECTS
    ]
    assert table.drop_columns("object_id").to_pylist() == alone
    assert table["object_id"].to_pylist() == OBJECTS


@pytest.mark.parametrize("metric", ["latency.p95", "users.count_distinct"])
def test_what_cannot_be_merged_is_refused_before_it_is_asked(metric, blank, client):
    """The error names the metric and the way out, and no request was made."""
    with pytest.raises(MergeError, match="per_object=True") as caught:
        aggregate(client.query(), DAY, AggregationSpec([metric]), object_ids=OBJECTS)
    assert caught.value.metric == metric
    assert metric in str(caught.value)
    assert blank.counters()["requests"] == {}


@pytest.mark.anyio
async def test_the_awaiting_twin_gives_the_same(blank, client):
    """`aaggregate` with tasks equals `aggregate` with threads, for one query and for many."""
    fill(blank)
    spec = AggregationSpec(MERGEABLE, ["time"], "hour")
    many = {"object_ids": OBJECTS, "concurrency": 2}
    seen = []
    async with client:
        assert await aaggregate(client.query(), DAY, spec) == aggregate(client.query(), DAY, spec)
        found = await aaggregate(
            client.query(), DAY, spec, **many, progress=lambda *step: seen.append(step)
        )
        assert seen == [(1, 3), (2, 3), (3, 3)]
    assert found == aggregate(client.query(), DAY, spec, **many)


def test_no_more_requests_at_once_than_allowed():
    """Four objects, two at a time: two are under way together, never three."""
    lock, together = threading.Lock(), threading.Barrier(2, timeout=10)
    running, most = 0, 0

    def answer(request):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        object_id = json.loads(request.body)["filters"][0]["value"]["string_value"]
        total = {"total_aggregation": int(object_id)}
        return Answer({"status": "success", "result": {"aggregation_result": {"runs_sum": total}}})

    seen = []
    many = {
        "object_ids": ["1", "2", "3", "4"],
        "concurrency": 2,
        "progress": lambda *step: seen.append(step),
    }
    spec = AggregationSpec(["runs.sum"])
    with serving(answer) as service, Client("sk_test_key", service.base_url) as client:
        table = aggregate(client.query(), DAY, spec, **many)
    assert table["runs_sum"].to_pylist() == [10]
    assert most == 2
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.anyio
async def test_no_more_tasks_at_once_than_allowed():
    """Every task that may run gets its turn of the loop before the first one goes on."""
    running, most = 0, 0

    async def work(item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10):
            await asyncio.sleep(0)
        running -= 1
        return item

    assert await in_tasks(work, [1, 2, 3, 4, 5], 2, None) == [1, 2, 3, 4, 5]
    assert most == 2


@pytest.mark.anyio
async def test_the_first_error_ends_the_fan_out(blank, client):
    """One refused request is the outcome, and what had not begun is not asked."""
    spec = AggregationSpec(["runs.sum"])
    many = {"object_ids": [str(number) for number in range(50)], "concurrency": 1}
    blank.fault("aggregations", "status", code=400)
    with pytest.raises(BadRequestError):
        aggregate(client.query(), DAY, spec, **many)
    assert blank.counters()["requests"]["aggregations"] < 50
    blank.fault("aggregations", "status", code=400)
    async with client:
        with pytest.raises(BadRequestError):
            await aaggregate(client.query(), DAY, spec, **many)
    assert blank.counters()["requests"]["aggregations"] < 50


def test_a_fan_out_that_means_nothing_is_refused(client, blank):
    """No objects, one object in two places, no request at a time, a cut bucket: errors."""
    spec = AggregationSpec(["runs.sum"])
    query = client.query()
    for ids, part in (([], "at least one"), ("pl_1", "list")):
        with pytest.raises(SpecError, match=part):
            aggregate(query, DAY, spec, object_ids=ids)
    with pytest.raises(SpecError, match="one object already"):
        aggregate(client.query(object_ids=["pl_9"]), DAY, spec, object_ids=OBJECTS)
    with pytest.raises(SpecError, match="1 or more"):
        aggregate(query, DAY, spec, object_ids=OBJECTS, concurrency=0)
    cut = Window(START, START + timedelta(minutes=90))
    with pytest.raises(WindowError, match="whole hour"):
        aggregate(query, cut, AggregationSpec(["runs.sum"], ["time"], "hour"), object_ids=OBJECTS)
    assert blank.counters()["requests"] == {}


# --- the algebra by itself ----------------------------------------------------

MEANS = AggregationSpec(["latency.mean", "latency.min", "latency.max", "latency.sum", "error_rate"])
runs_of_an_object = st.lists(
    st.tuples(st.none() | st.integers(1, 10**6).map(lambda n: n / 8), st.booleans()), max_size=6
)


def figures(runs):
    """What the service says of some runs: (latency or None, failed)."""
    known = [latency for latency, _ in runs if latency is not None]
    return {
        "latency_mean": math.fsum(known) / len(known) if known else None,
        "latency_min": min(known, default=None),
        "latency_max": max(known, default=None),
        "latency_sum": math.fsum(known),
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


def test_what_is_asked_for_a_merge():
    """A mean brings its sum and the runs, a ratio its two metrics; each is asked once."""
    spec = AggregationSpec(["latency.mean", "error_rate", "runs.sum"], ["time"], "day")
    asked = mergeable(spec)
    assert asked.metrics == ("latency.mean", "latency.sum", "runs.sum", "errors.sum")
    assert (asked.group_by, asked.interval) == (("time",), "day")


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
