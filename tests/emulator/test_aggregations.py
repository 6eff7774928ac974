"""Aggregations against a plain Python account of the same rows, at every level."""

import itertools
import statistics

import pytest

from tests.emulator.wire import SINCE, scope, time_filter


def rows():
    """Runs of three models (one unknown) on four days in two years, with their node spans."""
    days = ("2025-12-31", "2026-01-01", "2026-03-01", "2026-03-02")
    for number, (day, model) in enumerate(itertools.product(days, ("gpt", "llama", None) * 3)):
        yield {
            "span_id": f"r{number}",
            "trace_id": f"t{number}",
            "start_time": f"{day}T23:{number % 60:02}:00Z",
            "end_time": f"{day}T23:{number % 60:02}:01Z",
            "model_id": model,
            "latency": float(number * number % 97),
            "tokens": number * 10,
            "model_costs": number / 1000,
            "user_id": f"u{number % 4}",
            "status": "failure" if number % 5 == 0 else "success",
            "feedback_type": "thumbs_up" if number % 7 == 0 else None,
            "object_id": "pl_1" if number % 2 else "pl_2",
        }
        yield {
            "span_id": f"n{number}",
            "trace_id": f"t{number}",
            "parent_span_id": f"r{number}",
            "span_kind": "pipeline.node",
            "start_time": f"{day}T23:{number % 60:02}:00Z",
            "node_type": "llm",
            "node_latency": float(number),
            "model_id": model,
            "user_id": f"u{number % 4}",
        }


@pytest.fixture
def runs(blank):
    """The rows, inserted; returns the runs among them."""
    every = list(rows())
    blank.insert(every)
    return [row for row in every if row["span_id"][0] == "r"]


def percentile(values, percent):
    """The percentile by linear interpolation."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


ACCOUNTS = {
    "runs.sum": lambda rows: len(rows),
    "errors.sum": lambda rows: sum(row["status"] == "failure" for row in rows),
    "errors.mean": lambda rows: statistics.mean(row["status"] == "failure" for row in rows),
    "tokens.sum": lambda rows: sum(row["tokens"] for row in rows),
    "model_costs.sum": lambda rows: sum(row["model_costs"] for row in rows),
    "latency.mean": lambda rows: statistics.mean(row["latency"] for row in rows),
    "latency.min": lambda rows: min(row["latency"] for row in rows),
    "latency.max": lambda rows: max(row["latency"] for row in rows),
    "latency.p95": lambda rows: percentile([row["latency"] for row in rows], 95),
    "latency.p50": lambda rows: percentile([row["latency"] for row in rows], 50),
    "users.count_distinct": lambda rows: len({row["user_id"] for row in rows}),
}


def label(operation):
    """The key of an operation's result."""
    field, _, name = operation.partition(".")
    return f"{field}_percentile_{name[1:]}" if name[0] == "p" else f"{field}_{name}"


def day_of(row):
    """The label of the row's day."""
    return row["start_time"][:10] + "T00:00:00Z"


def groups(rows, key):
    """The rows by key."""
    result = {}
    for row in rows:
        result.setdefault(key(row), []).append(row)
    return result


@pytest.mark.parametrize("operation", ACCOUNTS)
def test_every_level_is_computed_from_the_events(runs, on_blank, operation):
    """Total, days and models within days each equal the account of their own rows."""
    account = ACCOUNTS[operation]
    result = on_blank.aggregate(operation, by=("TIME", "MODEL_ID"), interval="DAY")[
        label(operation)
    ]
    assert result["totalAggregation"] == pytest.approx(account(runs))
    days = result["nestedResult"]["nestedAggregationMap"]
    by_day = groups(runs, day_of)
    assert days.keys() == by_day.keys()
    for day, rows_of_day in by_day.items():
        assert days[day]["totalAggregation"] == pytest.approx(account(rows_of_day))
        by_model = groups(rows_of_day, lambda row: row["model_id"] or "")
        assert days[day]["result"]["aggregationMap"] == pytest.approx(
            {model: account(rows) for model, rows in by_model.items()}
        )


def test_three_dimensions_nest_in_the_requested_order(runs, on_blank):
    """A third dimension is one level deeper and the levels come as slice_units has them."""
    result = on_blank.aggregate(
        "runs.sum", by=("MODEL_ID", "FEEDBACK_TYPE", "TIME"), interval="YEAR"
    )["runs_sum"]
    models = result["nestedResult"]["nestedAggregationMap"]
    assert set(models) == {"", "gpt", "llama"}
    liked = models["gpt"]["nestedResult"]["nestedAggregationMap"]["thumbs_up"]
    mine = [row for row in runs if row["model_id"] == "gpt" and row["feedback_type"]]
    assert liked["totalAggregation"] == len(mine)
    assert sum(liked["result"]["aggregationMap"].values()) == len(mine)


@pytest.mark.parametrize(
    ("interval", "labels"),
    [
        ("YEAR", ["2025-01-01", "2026-01-01"]),
        ("MONTH", ["2025-12-01", "2026-01-01", "2026-03-01"]),
        ("WEEK", ["2025-12-29", "2026-02-23", "2026-03-02"]),
        ("DAY", ["2025-12-31", "2026-01-01", "2026-03-01", "2026-03-02"]),
    ],
)
def test_time_labels(runs, on_blank, interval, labels):
    """Buckets are labelled by their UTC start, weeks start on Monday, empty buckets are absent."""
    result = on_blank.aggregate("runs.sum", interval=interval)["runs_sum"]
    assert list(result["result"]["aggregationMap"]) == [f"{day}T00:00:00Z" for day in labels]


def test_hours(runs, on_blank):
    """An hour is labelled by its start."""
    result = on_blank.aggregate("runs.sum", interval="HOUR")["runs_sum"]
    assert next(iter(result["result"]["aggregationMap"])) == "2025-12-31T23:00:00Z"


def test_an_operation_has_no_bucket_where_it_has_no_value(runs, on_blank):
    """Runs know no node type, node latency knows no run: each has only its own labels."""
    result = on_blank.aggregate("runs.sum", "node_latency.max", by=("NODE_TYPE",))
    assert result["runs_sum"]["result"]["aggregationMap"] == {"": len(runs)}
    assert result["node_latency_max"]["result"]["aggregationMap"] == {"llm": len(runs) - 1}


def test_nothing_to_aggregate(on_blank):
    """An aggregation of no events has no results at all, rather than a zero or NaN."""
    assert on_blank.aggregate("runs.sum", "latency.mean", "latency.p95") == {}


def test_scope_and_times_narrow(runs, on_blank):
    """Scope filters and time bounds apply before aggregating."""
    result = on_blank.aggregate(
        "runs.sum", filters=[scope("ObjectId", "pl_1")], end_time="2025-12-31T23:59:59Z"
    )
    mine = [row for row in runs if row["object_id"] == "pl_1" and row["start_time"] < "2026"]
    assert result["runs_sum"]["totalAggregation"] == len(mine)


def test_counting_fields(blank, on_blank):
    """Session and feedback fields count their events; times are milliseconds since 1970."""
    blank.insert(
        [
            {"span_kind": "session.create", "start_time": "2026-01-01T00:00:00Z"},
            {"span_kind": "session.add_message", "start_time": "2026-01-01T00:00:01.5Z"},
            {"span_kind": "session.add_message", "start_time": "2026-01-01T00:00:02Z"},
        ]
    )
    result = on_blank.aggregate(
        "create.sum", "add_message.sum", "runs.sum", "start_time.min", "start_time.max"
    )
    totals = {key: value["totalAggregation"] for key, value in result.items()}
    assert totals == {
        "create_sum": 1,
        "add_message_sum": 2,
        "start_time_min": 1767225600000,
        "start_time_max": 1767225602000,
    }


def test_integers_beyond_doubles_stay_exact(blank, on_blank):
    """A sum of tokens past 2^53 loses no unit."""
    blank.insert([{"tokens": 2**53}, {"tokens": 1}])
    result = on_blank.aggregate("tokens.sum")["tokens_sum"]
    assert result["totalAggregation"] == 2**53 + 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"table_filters": [time_filter("SPAN_END_TIME", SINCE, "EQUALS")]}, "table_filters"),
        ({"operator": "OR"}, "operator"),
        ({"slice_unit": {"slice_units": []}}, "slice_units is empty"),
        ({"slice_unit": {"slice_units": ["TIME"]}}, "interval"),
        ({"slice_unit": {"slice_units": ["SPACE"]}}, "SPACE"),
        ({"slice_unit": {"slice_units": ["TIME"], "interval": "DECADE"}}, "DECADE"),
        ({"aggregation_operations": []}, "empty"),
        ({"aggregation_operations": [{"field": "BOGUS", "operator": {"sum": {}}}]}, "BOGUS"),
        ({"aggregation_operations": [{"field": "USERS", "operator": {"sum": {}}}]}, "USERS"),
        ({"aggregation_operations": [{"field": "RUNS", "operator": {}}]}, "exactly one"),
        (
            {
                "aggregation_operations": [
                    {"field": "RUNS", "operator": {"percentile": {"percentile": 101}}}
                ]
            },
            "101",
        ),
    ],
)
def test_refused(on_blank, change, reason):
    """What an aggregation cannot take is refused with the reason."""
    good = {
        "start_time": SINCE,
        "aggregation_operations": [{"field": "RUNS", "operator": {"sum": {}}}],
        "slice_unit": {"slice_units": ["TIME"], "interval": "YEAR"},
    }
    assert reason in on_blank.refused("/aggregations", good | change)
