"""A total that a service prints, leaves out or does not fill in: the figure is that of the slices, or an error."""

import math

import pytest

from tests.sdk.conftest import SINCE
from tests.sdk.scripted import in_turn
from tests.sdk.test_no_silent_wrong_answer import leaves, nested, result
from vectorshift import AnalyticsInvalidQuery, InvalidResponseError

UNFILLED = {"total_aggregation": 0}
CAMEL = {"totalAggregation": 0}
ONE = {"2026-01-01T00:00:00Z": 5}
TWO = {"2025-01-01T00:00:00Z": 3, "2026-01-01T00:00:00Z": 4}
CALLS = {
    "sum": lambda query: query.sum("tokens"),
    "min": lambda query: query.min("tokens"),
    "max": lambda query: query.max("tokens"),
    "mean": lambda query: query.mean("tokens"),
    "count_distinct": lambda query: query.count_distinct("tokens"),
    "percentile_95": lambda query: query.percentile("latency", 95),
}


@pytest.fixture
def ungrouped(scripted, service):
    """The figure of an operation without a group-by, of what the service says about it."""

    def ask(op, node):
        label = f"{'latency' if op == 'percentile_95' else 'tokens'}_{op}"
        service.script = in_turn(result(**{label: node}))
        return CALLS[op](scripted.query().where(SINCE))

    return ask


@pytest.mark.parametrize("op", CALLS)
@pytest.mark.parametrize("total", [{}, UNFILLED, CAMEL, {"total_aggregation": "0"}], ids=str)
def test_one_slice_is_the_figure(ungrouped, op, total):
    """A total of 0 beside a slice that is not 0 is not a total."""
    assert ungrouped(op, leaves(**ONE) | total) == 5


@pytest.mark.parametrize(("op", "figure"), [("sum", 7), ("min", 3), ("max", 4)])
@pytest.mark.parametrize("total", [{}, UNFILLED, CAMEL], ids=str)
def test_several_slices_are_put_together(ungrouped, op, figure, total):
    """What slices determine is made of them where no total was filled in."""
    assert ungrouped(op, leaves(**TWO) | total) == figure


@pytest.mark.parametrize("op", ["mean", "count_distinct", "percentile_95"])
@pytest.mark.parametrize("total", [{}, UNFILLED], ids=str)
def test_what_slices_do_not_determine_is_refused(ungrouped, op, total):
    """A mean, a distinct count and a percentile of two years need a total that was filled in."""
    with pytest.raises(AnalyticsInvalidQuery, match="calendar year"):
        ungrouped(op, leaves(**TWO) | total)


@pytest.mark.parametrize(("op", "total"), [("count_distinct", 5), ("percentile_95", 3.5)])
def test_a_total_that_was_filled_in_is_taken(ungrouped, op, total):
    """Only the service knows these over several years."""
    assert ungrouped(op, leaves(**TWO) | {"total_aggregation": total}) == total


@pytest.mark.parametrize("op", CALLS)
def test_zeros_stay_zero(ungrouped, op):
    """A slice of 0 with a total of 0 is 0."""
    assert ungrouped(op, leaves(**dict.fromkeys(ONE, 0)) | UNFILLED) == 0


@pytest.mark.parametrize(
    ("op", "slices", "total"),
    [
        ("sum", ONE, 6),
        ("sum", TWO, 8),
        ("sum", TWO, 6),
        ("sum", {"2026": 1.5, "2025": 2.5}, 4.1),
        ("min", TWO, 2),
        ("max", TWO, 9),
        ("min", ONE, 4),
        ("mean", ONE, 5.5),
        ("count_distinct", TWO, 8),
        ("count_distinct", TWO, 2),
    ],
)
def test_a_total_that_its_years_cannot_make_is_an_error(ungrouped, op, slices, total):
    """Each event is in one year, so the years bound the total: neither of the two can be believed."""
    with pytest.raises(InvalidResponseError, match=rf"tokens_{op} is {total}.*cannot make"):
        ungrouped(op, leaves(**slices) | {"total_aggregation": total})


@pytest.mark.parametrize("total", [4.0 + 1e-12, 4.0 - 1e-12])
def test_a_sum_may_differ_in_its_last_digits(ungrouped, total):
    """A service that adds in another order gives another last digit."""
    assert ungrouped(
        "sum", leaves(**{"2025": 1.5, "2026": 2.5}) | {"total_aggregation": total}
    ) == (pytest.approx(4))


def test_slices_of_other_dimensions_may_overlap(scripted, service):
    """A call of two models is in both slices: its total stands, and so do they."""
    service.script = in_turn(result(runs_sum=leaves(a=2, b=2) | {"total_aggregation": 3}))
    actual = scripted.query().where(SINCE).raw_aggregate(["runs.sum"], group_by="MODEL_ID")
    assert actual["buckets"][0]["value"] == 3
    assert [each["value"] for each in actual["buckets"][0]["nested"]] == [2, 2]


@pytest.mark.parametrize(
    ("op", "upper"), [("sum", [3, 5, 8]), ("min", [1, 5, 1]), ("max", [2, 5, 5])]
)
def test_upper_levels_are_made_of_what_lies_below(scripted, service, op, upper):
    """With two dimensions, totals that were not filled in are those of the levels below."""
    days = {"2026-01-01": leaves(a=1, b=2) | UNFILLED, "2026-01-02": leaves(a=5) | UNFILLED}
    service.script = in_turn(result(**{f"tokens_{op}": nested(**days) | UNFILLED}))
    query = scripted.query().where(SINCE).group_by(["TIME", "MODEL_ID"], "DAY")
    [actual] = getattr(query, op)("tokens")["buckets"]
    assert [*(day["value"] for day in actual["nested"]), actual["value"]] == upper


def test_upper_levels_that_nobody_can_know_have_no_value(scripted, service):
    """A mean of several models is not made up; that of a day with one model is the model's."""
    days = {"2026-01-01": leaves(a=1, b=2) | UNFILLED, "2026-01-02": leaves(a=5) | UNFILLED}
    service.script = in_turn(result(tokens_mean=nested(**days) | UNFILLED))
    query = scripted.query().where(SINCE).group_by(["TIME", "MODEL_ID"], "DAY")
    [actual] = query.mean("tokens")["buckets"]
    assert [day.get("value") for day in actual["nested"]] == [None, 5]


# --- slices that are messages ------------------------------------------------------------------


@pytest.mark.parametrize("op", ["sum", "min", "max", "mean", "count_distinct"])
def test_an_empty_message_is_a_zero(scripted, service, op):
    """proto-JSON leaves the zero out of a slice that is a message; its label stays."""
    slices = {"gpt-4o": {}, "claude": {"totalAggregation": 3}}
    service.script = in_turn(result(**{f"tokens_{op}": nested(**slices)}))
    query = scripted.query().where(SINCE).group_by("MODEL_ID")
    assert getattr(query, op)("tokens") == {"gpt-4o": 0.0, "claude": 3.0}


def test_an_empty_year_counts_as_zero(ungrouped):
    """The least of a year of zeros and another is 0."""
    slices = {"2025": {}, "2026": {"totalAggregation": 3}}
    assert ungrouped("min", nested(**slices)) == 0
    assert ungrouped("sum", nested(**slices) | UNFILLED) == 3


# --- what is not a number -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told", ["NaN", "nan", "-nan", "Infinity", "-Infinity", "1_000", True, "x"]
)
@pytest.mark.parametrize("op", ["sum", "min", "max", "count_distinct"])
@pytest.mark.parametrize("place", ["total", "slice"])
def test_what_is_not_a_number_never_becomes_zero(ungrouped, op, told, place):
    """A sum, a least, a greatest or a count is finite, or the answer is an error that names it."""
    node = leaves(**{"2026": told}) if place == "slice" else {"total_aggregation": told}
    with pytest.raises(InvalidResponseError, match=r"(2026|tokens_\w+) is"):
        ungrouped(op, node)


@pytest.mark.parametrize("told", ["NaN", "nan", None])
@pytest.mark.parametrize("op", ["mean", "percentile_95"])
def test_a_mean_of_nothing_is_zero_by_itself_and_has_no_slice(
    scripted, service, ungrouped, op, told
):
    """What was divided by nothing has no value: the scalar is 0.0 as documented, and the label has no figure."""
    assert ungrouped(op, leaves(**{"2026": told})) == 0.0
    field = "latency"
    service.script = in_turn(result(**{f"{field}_{op}": leaves(a=told, b=2)}))
    query = scripted.query().where(SINCE).group_by("MODEL_ID")
    actual = query.mean(field) if op == "mean" else query.percentile(field, 95)
    assert actual == {"b": 2.0}


@pytest.mark.parametrize("op", ["mean", "percentile_95"])
def test_infinity_is_not_a_mean(ungrouped, op):
    """Only NaN is a division by nothing."""
    with pytest.raises(InvalidResponseError, match="not a finite number"):
        ungrouped(op, leaves(**{"2026": "Infinity"}))


def test_null_is_the_sum_of_nothing(scripted, service):
    """A database sums no rows to null: that is 0, and the least of none has no figure."""
    service.script = in_turn(result(tokens_sum=leaves(a=None, b=2)))
    query = scripted.query().where(SINCE).group_by("MODEL_ID")
    assert query.sum("tokens") == {"a": 0.0, "b": 2.0}
    service.script = in_turn(result(tokens_min=leaves(a=None, b=2)))
    assert query.min("tokens") == {"b": 2.0}


@pytest.mark.parametrize(
    "whole", ["9007199254740993", 9007199254740993, "18446744073709551615"], ids=repr
)
def test_large_integers_lose_no_digit(scripted, service, whole):
    """int64 and uint64 come as text or as numbers, and stay exact in buckets."""
    service.script = in_turn(
        result(tokens_sum=leaves(**{"2026": whole}) | {"total_aggregation": whole})
    )
    [actual] = scripted.query().where(SINCE).raw_aggregate(["tokens.sum"])["buckets"]
    assert actual["value"] == int(whole)
    assert not math.isinf(actual["value"])
