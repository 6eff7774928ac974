"""Aggregation replies become tables with fixed columns, whatever they hold."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.orchestration.rows import DAY, event, write_csv
from vectorshift_orchestration.errors import AggregationShapeError
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.tables import (
    EVENT_SCHEMA,
    aggregation_schema,
    aggregation_table,
    canonical_name,
    event_batch,
    first_outside,
)

BY_DAY = AggregationSpec(["runs.sum", "latency.p95", "error_rate"], ["time", "pipeline_id"], "day")


def leaf(label, value):
    return {"label": label, "value": value}


def nest(label, *inner):
    return {"label": label, "nested": list(inner)}


def test_a_nested_reply_becomes_rows():
    """Dimensions and metrics are columns; rates are computed; gaps are 0 for sums, else null."""
    day, next_day = "2026-11-22T00:00:00Z", "2026-11-23T00:00:00+00:00"
    reply = {
        "buckets": [
            nest("errors_sum", nest(day, leaf("pl_1", 1), leaf("pl_2", 0))),
            nest(
                "runs_sum", nest(day, leaf("pl_1", 4), leaf("", 2)), nest(next_day, leaf("pl_1", 5))
            ),
            nest("latency_percentile_95", nest(day, leaf("pl_1", 1500.5), {"label": "pl_2"})),
        ]
    }
    table = aggregation_table(reply, BY_DAY, DAY)
    assert table.schema == aggregation_schema(BY_DAY)
    first, second = DAY.start, DAY.start + timedelta(days=1)
    assert table.to_pydict() == {
        "bucket_start": [first, first, first, second],
        "pipeline_id": [None, "pl_1", "pl_2", "pl_1"],
        "runs_sum": [2, 4, 0, 5],
        "latency_p95": [None, 1500.5, None, None],
        "error_rate": [0.0, 0.25, None, 0.0],
    }


@pytest.mark.parametrize(
    "spec",
    [BY_DAY, AggregationSpec(["tokens.sum", "model_costs.sum"], ["model_id"])],
)
@pytest.mark.parametrize("reply", [{"buckets": []}, {"buckets": [nest("runs_sum")]}])
def test_an_empty_reply_has_all_columns(spec, reply):
    """No events: no rows, the same schema."""
    table = aggregation_table(reply, spec, DAY)
    assert table.num_rows == 0
    assert table.schema == aggregation_schema(spec)


def test_types_are_written_down():
    """Counts and tokens are int64, amounts decimals, means and rates double, dimensions strings."""
    spec = AggregationSpec(
        [
            "tokens.sum",
            "users.count_distinct",
            "model_costs.count_distinct",
            *(f"model_costs.{op}" for op in ("sum", "min", "max", "mean")),
            "ai_credits.sum",
            "tokens.mean",
            "error_rate",
        ],
        ["model_id", "node_type"],
    )
    kinds = [str(field.type) for field in aggregation_schema(spec)]
    assert kinds == [
        "timestamp[us, tz=UTC]",
        *["string"] * 2,
        *["int64"] * 3,
        *["decimal128(38, 12)"] * 5,
        *["double"] * 2,
    ]


def test_without_time_the_rows_carry_the_window():
    """An ungrouped aggregation is one row that starts where the window starts."""
    spec = AggregationSpec(["runs.sum", "latency.mean", "error_rate"])
    reply = {"buckets": [leaf("runs_sum", 8), leaf("errors_sum", 2), {"label": "latency_mean"}]}
    assert aggregation_table(reply, spec, DAY).to_pylist() == [
        {"bucket_start": DAY.start, "runs_sum": 8, "latency_mean": None, "error_rate": 0.25}
    ]
    assert aggregation_table({"buckets": []}, spec, DAY).to_pylist() == [
        {"bucket_start": DAY.start, "runs_sum": 0, "latency_mean": None, "error_rate": None}
    ]


def test_integers_beyond_a_float_stay_exact():
    """Token sums that a float cannot hold are not rounded."""
    spec = AggregationSpec(["tokens.sum"])
    table = aggregation_table({"buckets": [leaf("tokens_sum", 2**53 + 1)]}, spec, DAY)
    assert table["tokens_sum"].to_pylist() == [2**53 + 1]


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, "0.3"),
        (1.5e-7, "0.00000015"),
        (5e-13, "0"),  # half to even
        (1.5e-12, "0.000000000002"),
        (-2.5, "-2.5"),
        (12, "12"),
        (2**53 + 1, "9007199254740993"),
        (1e25, "10000000000000000000000000"),
        (Decimal("0.123"), "0.123"),
        (None, None),
    ],
)
def test_amounts_are_the_decimals_that_were_meant(told, amount):
    """The shortest decimal of the service's double, at 12 places; the noise of its sums goes."""
    spec = AggregationSpec(["model_costs.mean"])
    table = aggregation_table({"buckets": [leaf("model_costs_mean", told)]}, spec, DAY)
    assert table["model_costs_mean"].to_pylist() == [amount and Decimal(amount)]


@pytest.mark.parametrize(
    "told", [math.nan, math.inf, -math.inf, 1e26, -1e26, 10**26, 1e308, "1", True]
)
def test_what_is_not_an_amount_is_an_error(told):
    """Nothing is made of what is not finite, does not fit, or is not a number."""
    spec = AggregationSpec(["ai_credits.sum"])
    with pytest.raises(AggregationShapeError, match="ai_credits_sum at the top is"):
        aggregation_table({"buckets": [leaf("ai_credits_sum", told)]}, spec, DAY)


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        ({"email": "ana@example.org"}, "ana@example.org"),
        ('{"system": "scheduler"}', "scheduler"),
        ("ana@example.org", "ana@example.org"),
        ({"email": "a", "name": "b"}, '{"email":"a","name":"b"}'),
        ({"id": 5}, '{"id":5}'),
        ("{no JSON", "{no JSON"),
        ({}, "{}"),
        (None, None),
    ],
)
def test_a_caller_is_one_text_from_wherever_it_comes(told, plain, tmp_path):
    """An object with one text is that text, on pages and in files; nothing else is taken apart."""
    page = event_batch([event(1, caller=told)])
    assert page["caller"].to_pylist() == [plain]
    _, batches = read_export(write_csv(tmp_path / "f.csv", [event(1, caller=told)]), "CSV")
    assert next(batches)["caller"].to_pylist() == [plain]


@pytest.mark.parametrize(
    ("buckets", "part"),
    [
        ([leaf("runs_sum", 3)], "no slices at the top"),
        ([nest("runs_sum", leaf("2026-11-22T00:00:00Z", 3))], "no slices at 2026-11-22"),
        ([nest("runs_sum", nest("gpt-4o", leaf("pl_1", 3)))], "'gpt-4o' is not an ISO 8601 time"),
        ([nest("runs_sum", nest("2026-11-22T00:00:00Z", leaf("p", 3.5)))], "counts things"),
        ([nest("runs_sum", nest("2026-11-22T00:00:00Z", leaf("p", 2**63)))], "64 bits"),
        (
            [nest("runs_sum", nest("2026-11-22T00:00:00Z", leaf("p", math.inf)))],
            "not a finite number",
        ),
        ([nest("runs_sum", nest("2026-11-22T00:00:00Z", leaf("p", "5")))], "not a finite number"),
        (
            [nest("latency_percentile_95", nest("2026-11-22T00:00:00Z", leaf("p", math.nan)))],
            "not a finite number",
        ),
    ],
)
def test_a_reply_of_another_shape_is_an_error(buckets, part):
    """Missing levels, dimensions in another order and broken counts are not papered over."""
    with pytest.raises(AggregationShapeError, match=part):
        aggregation_table({"buckets": buckets}, BY_DAY, DAY)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("spanStartTime", "span_start_time"),
        ("startTime", "span_start_time"),
        ("EVENT_START_TIME", "span_start_time"),
        ("statusMessage", "error_message"),
        ("ObjectId", "object_id"),
        (" model_id ", "model_id"),
        ("sessionAiSource", "session_ai_source"),
        ("brand_new", "brand_new"),
    ],
)
def test_names_have_one_spelling(spelling, name):
    """Every spelling of the wire leads to the reference page's name."""
    assert canonical_name(spelling) == name


def test_an_event_has_the_columns_of_an_export():
    """27 columns, times in UTC microseconds, latencies as doubles, the rest as text."""
    assert len(EVENT_SCHEMA) == 27
    kinds = {str(field.type) for field in EVENT_SCHEMA}
    assert kinds == {"string", "double", "timestamp[us, tz=UTC]"}


def test_the_first_row_outside_is_found():
    """Naive UTC and zoned times are compared as instants; both edges count as they should."""
    times = [DAY.start, DAY.end - timedelta(milliseconds=1), DAY.end]
    for zone in ("UTC", "Asia/Tokyo"):
        assert first_outside(pa.array(times, pa.timestamp("us", zone)), DAY) == 2
        assert first_outside(pa.array(times[:2], pa.timestamp("ms", zone)), DAY) == -1
    naive = [time.astimezone(UTC).replace(tzinfo=None) for time in times]
    assert first_outside(pa.array(naive, pa.timestamp("us")), DAY) == 2
    assert first_outside(pa.array([datetime(2026, 11, 22, tzinfo=UTC), None]), DAY) == 1
