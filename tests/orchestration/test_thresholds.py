"""Rules against a real service: one request, one verdict, whatever the data are."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from vectorshift_orchestration.errors import MergeError, SpecError, WindowError
from vectorshift_orchestration.thresholds import (
    Absolute,
    Baseline,
    Change,
    Rate,
    aevaluate,
    evaluate,
    rule_from_dict,
)
from vectorshift_orchestration.thresholds.error_messages import NO_MESSAGE, atop_errors, top_errors
from vectorshift_orchestration.thresholds.verdicts import verdict
from vectorshift_orchestration.windows import Window

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = Window(START, START + timedelta(hours=1))


def runs(window, count, failures=0, **columns):
    """Rows of `count` runs in the window, the first ones failed."""
    return [
        {
            "start_time": (window.start + number * window.width / (count + 1)).isoformat(
                timespec="milliseconds"
            ),
            "status": "failure" if number < failures else "success",
            "latency": 100.0 + number,
            **columns,
        }
        for number in range(count)
    ]


def asked_once(blank):
    return blank.counters()["requests"] == {"aggregations": 1}


@pytest.mark.parametrize(
    ("rule", "state", "severity", "observed", "limit"),
    [
        (Absolute(metric="errors.sum", warn=1, error=5), "breached", "WARN", 4, 1),
        (Absolute(metric="errors.sum", warn=1, error=3), "breached", "ERROR", 4, 3),
        (Absolute(metric="errors.sum", error=4), "ok", None, 4, 4),
        (
            Absolute(metric="runs.sum", breach="below", warn=30, error=25),
            "breached",
            "ERROR",
            20,
            25,
        ),
        (Absolute(metric="latency.max", error=118), "breached", "ERROR", 119, 118),
        (Absolute(metric="latency.mean", error=200, minimum_sample=20), "ok", None, 109.5, 200),
        (Absolute(metric="error_rate", error=0.1), "breached", "ERROR", 0.2, 0.1),
        (Absolute(metric="node_latency.p95", error=1), "insufficient_data", None, None, 1),
        (Rate(warn=0.1, error=0.5), "breached", "WARN", 0.2, 0.1),
        (Rate(error=0.2), "ok", None, 0.2, 0.2),
        (Rate(error=0.1, minimum_sample=21), "insufficient_data", None, None, 0.1),
        (
            Rate(numerator="tokens.sum", denominator="errors.sum", error=1),
            "insufficient_data",
            None,
            None,
            1,
        ),
    ],
)
def test_one_window_by_itself(rule, state, severity, observed, limit, blank, client):
    """20 runs of which 4 failed, by absolute figures and rates, at and past their limits."""
    blank.insert(runs(HOUR, 20, 4))
    result = evaluate(rule, client.query(), HOUR)
    assert (result.state, result.severity, result.observed, result.limit) == (
        state,
        severity,
        observed,
        limit,
    )
    assert result.ok is (state != "breached")
    assert result.window == HOUR
    assert HOUR.label in result.reason
    assert asked_once(blank)


def test_an_empty_window_is_not_an_error(blank, client):
    """No runs: sums are 0, everything else is too little to judge."""
    assert evaluate(Absolute(metric="errors.sum", error=0), client.query(), HOUR).state == "ok"
    for rule in (
        Absolute(metric="latency.p95", error=1),
        Absolute(metric="error_rate", error=0.1),
        Rate(error=0.1, minimum_sample=0),
        Change(metric="latency.mean", error=0.1),
        Baseline(metric="latency.p95", error=3),
    ):
        result = evaluate(rule, client.query(), HOUR)
        assert (result.state, result.ok, result.observed, result.sample) == (
            "insufficient_data",
            True,
            None,
            0,
        )


@pytest.mark.parametrize(
    ("before", "now", "breach", "state", "observed"),
    [
        (10, 16, "above", "breached", 0.6),
        (10, 15, "above", "ok", 0.5),
        (10, 4, "above", "ok", -0.6),
        (10, 4, "below", "ok", -0.6),
        (10, 4, "either", "breached", -0.6),
        (0, 4, "above", "insufficient_data", None),
        (0, 0, "above", "ok", 0.0),
    ],
)
def test_change_against_the_window_before(before, now, breach, state, observed, blank, client):
    """The relative change, in one request for both windows; from 0 it has no size."""
    [previous] = HOUR.earlier(1)
    blank.insert(runs(previous, before) + runs(HOUR, now))
    limit = -0.7 if breach == "below" else 0.5
    rule = Change(metric="runs.sum", error=limit, breach=breach)
    result = evaluate(rule, client.query(), HOUR)
    assert (result.state, result.observed) == (state, observed)
    assert asked_once(blank)


@pytest.mark.parametrize(
    ("rule", "state", "observed"),
    [
        (Absolute(metric="model_costs.sum", error=0.3), "ok", 0.3),
        (Absolute(metric="model_costs.sum", error=0.29), "breached", 0.3),
        (Absolute(metric="model_costs.mean", warn=0.09), "breached", 0.1),
        (
            Rate(numerator="model_costs.sum", denominator="runs.sum", error=0.1, minimum_sample=3),
            "ok",
            0.1,
        ),
        (
            Rate(
                numerator="ai_credits.sum", denominator="model_costs.sum", error=1, minimum_sample=0
            ),
            "ok",
            0.0,
        ),
        (Change(metric="model_costs.sum", warn=1.9), "breached", 2.0),
        (Baseline(metric="model_costs.sum", windows=5, warn=3), "breached", math.inf),
        (Baseline(metric="model_costs.sum", windows=5, warn=3, tolerance=0.2), "ok", 0.0),
    ],
)
def test_every_rule_judges_money(rule, state, observed, blank, client):
    """Three runs at 0.1 dollars after hours of one: 0.3 dollars exactly, by all four rules."""
    history(blank, [1, 1, 1, 1, 1, 3], model_costs=0.1)
    result = evaluate(rule, client.query(), HOUR)
    assert (result.state, result.observed) == (state, pytest.approx(observed, rel=1e-12))
    json.dumps(result.to_dict(), allow_nan=False)


def test_change_needs_runs_in_both_windows(blank, client):
    """A figure of a window with too few runs is not compared with."""
    [previous] = HOUR.earlier(1)
    blank.insert(runs(previous, 3) + runs(HOUR, 30))
    rule = Change(metric="runs.sum", error=0.5, minimum_sample=10)
    assert evaluate(rule, client.query(), HOUR).state == "insufficient_data"
    low = Change(metric="runs.sum", error=0.5, minimum_sample=3)
    assert evaluate(low, client.query(), HOUR).state == "breached"


def history(blank, counts, window=HOUR, **columns):
    """Runs in the windows before `window`, and in `window` itself the last of `counts`."""
    for count, each in zip(counts, [*window.earlier(len(counts) - 1), window], strict=True):
        if count:
            blank.insert(runs(each, count, **columns))


@pytest.mark.parametrize(
    ("counts", "rule", "state", "observed"),
    [
        ([4, 5, 6, 5, 4, 6, 5], {}, "ok", 0.0),
        ([4, 5, 6, 5, 4, 6, 40], {}, "breached", 35 / 1.4826),
        ([5, 5, 5, 5, 5, 9, 20], {}, "breached", 15 / (1.2533 * 4 / 6)),
        ([5, 5, 5, 5, 5, 5, 6], {}, "breached", math.inf),
        ([5, 5, 5, 5, 5, 5, 6], {"tolerance": 1}, "ok", 0.0),
        ([0, 0, 0, 0, 0, 0, 1], {"minimum_sample": 2}, "insufficient_data", None),
        ([9, 0, 0, 9, 9, 0, 9], {"minimum_sample": 2}, "insufficient_data", None),
        ([9, 0, 0, 9, 9, 0, 9], {"minimum_sample": 2, "minimum_windows": 3}, "ok", 0.0),
    ],
)
def test_a_robust_baseline(counts, rule, state, observed, blank, client):
    """The distance from the median of six hours, in deviations by MAD, in one grouped request."""
    history(blank, counts)
    baseline = Baseline(metric="runs.sum", windows=6, warn=3, **rule)
    result = evaluate(baseline, client.query(), HOUR)
    assert result.state == state
    assert result.observed == pytest.approx(observed) if observed is not None else True
    assert (result.observed is None) == (observed is None)
    assert asked_once(blank)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["state"] == state


def test_local_days_are_compared_with_local_days(blank, client):
    """Days of New York over its clock change: hours put together, each day with its own."""
    day = Window.day(date(2026, 11, 2), "America/New_York")
    before = day.earlier(5, "day", "America/New_York")
    for each in before:
        blank.insert(runs(each, 5))
    blank.insert(runs(day, 9) + runs(Window(before[-1].end - timedelta(hours=1), day.start), 1))
    rule = Baseline(metric="runs.sum", windows=5, error=3, tolerance=1)
    result = evaluate(rule, client.query(), day, every="day", tz="America/New_York")
    assert (result.state, result.sample) == ("breached", 9)
    assert "5 windows" in result.reason
    means = Change(metric="latency.mean", error=0.5)
    assert evaluate(means, client.query(), day, every="day", tz="America/New_York").state == "ok"


def test_a_mean_that_its_buckets_do_not_tell_is_not_an_error(blank, client):
    """Hours whose mean is 0 hide how many runs that is of, so a mean of their day is not known."""
    day = Window.day(date(2026, 11, 2), "America/New_York")
    first, second = day.split("hour")[:2]
    [before] = day.earlier(1, "day", "America/New_York")
    for each, tokens in ((before, 5), (first, 0), (second, 5)):
        blank.insert(runs(each, 3, tokens=tokens))
    rule = Change(metric="tokens.mean", error=0.5)
    result = evaluate(rule, client.query(), day, every="day", tz="America/New_York")
    assert (result.state, result.sample) == ("insufficient_data", 6)


def test_a_mean_over_new_year(blank, client):
    """The service refuses a mean over two calendar years; a window over them has one all the same."""
    window = Window.day(date(2026, 12, 31), "America/New_York")
    blank.insert(runs(window, 23))
    result = evaluate(Absolute(metric="latency.mean", error=1000), client.query(), window)
    assert (result.observed, result.state) == (111.0, "ok")
    assert asked_once(blank)


def test_rules_that_cannot_judge_a_window(blank, client):
    """Bad rules raise: parts of an hour cannot be compared, nor percentiles of several buckets."""
    quarter = Window(START, START + timedelta(minutes=15))
    rule = Change(metric="latency.p95", error=0.5)
    with pytest.raises(WindowError, match="whole hours"):
        evaluate(rule, client.query(), quarter)
    with pytest.raises(MergeError, match=r"latency\.p95"):
        evaluate(rule, client.query(), Window(START, START + timedelta(hours=3)))
    assert blank.counters()["requests"] == {}
    assert evaluate(Absolute(metric="runs.sum", error=1), client.query(), quarter).ok
    assert evaluate(rule, client.query(), HOUR).state == "insufficient_data"


@pytest.mark.anyio
async def test_the_awaiting_twins_give_the_same(blank, client):
    """`aevaluate` and `atop_errors` ask and judge as their blocking twins do."""
    blank.insert(runs(HOUR, 20, 4, error_message="boom"))
    rule = Baseline(metric="runs.sum", windows=6, error=3)
    async with client:
        query = client.query()
        assert await aevaluate(rule, query, HOUR) == evaluate(rule, query, HOUR)
        assert await atop_errors(query, HOUR) == top_errors(query, HOUR)


def test_the_commonest_errors(blank, client):
    """Messages by how often they come up, in the window only, from a bounded number of events."""
    for count, message in ((3, "quota"), (5, "timeout"), (1, "odd"), (2, None)):
        blank.insert(runs(HOUR, count, count, **({"error_message": message} if message else {})))
    blank.insert(runs(HOUR.earlier(1)[0], 9, 9, error_message="yesterday") + runs(HOUR, 4))
    result = top_errors(client.query(kinds=["pipeline.run"]), HOUR, limit=3)
    assert result.messages == (("timeout", 5), ("quota", 3), (NO_MESSAGE, 2))
    assert (result.examined, result.failed) == (11, 11)
    assert blank.counters()["requests"] == {"tables": 1}
    few = top_errors(client.query(), HOUR, most=4)
    assert (few.examined, few.failed) == (4, 11)
    assert sum(count for _, count in few.messages) == 4
    assert json.loads(json.dumps(result.to_dict()))["messages"][0] == {
        "message": "timeout",
        "count": 5,
    }


# --- rules as values ----------------------------------------------------------

RULES = [
    Absolute(metric="errors.sum", warn=1, error=5),
    Rate(error=0.1),
    Rate(numerator="tokens.sum", denominator="runs.sum", warn=5, minimum_sample=1, breach="below"),
    Change(metric="latency.p95", warn=0.5, breach="either"),
    Baseline(metric="runs.sum", error=6, windows=30, minimum_windows=10, tolerance=2.5),
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_round_trips(rule):
    """Through JSON and pickling a rule is the same value, and what is a default is not written."""
    document = json.loads(json.dumps(rule.to_dict()))
    assert rule_from_dict(document) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert (document["version"], document["rule"]) == (1, rule.name)
    assert {rule: 1}[rule_from_dict(document)] == 1


def test_a_metric_of_a_rule_may_be_in_capitals():
    """As in an aggregation: the names of metrics are the same in either case."""
    rule = Absolute(metric="Runs.SUM", error=1)
    assert rule.measured.metrics == ("runs.sum",)
    assert verdict(rule, HOUR, [{"runs_sum": 5}]).observed == 5


def test_a_rule_may_be_a_template():
    """Numbers that templates leave as texts are read as numbers."""
    document = {"rule": "rate", "error": "{{ limit }}", "minimum_sample": "{{ least }}"}
    rule = rule_from_dict(document, {"rate": "rate", "{{ limit }}": "0.25", "{{ least }}": "7"}.get)
    assert rule == Rate(error=0.25, minimum_sample=7)


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"rule": "rat", "error": 1}, "Did you mean rate"),
        ({"error": 1}, "Rule None does not exist"),
        ({"rule": ["rate"], "error": 1}, "Rule .* does not exist"),
        ({"rule": "absolute", "metric": {"a": 1}, "error": 1}, "Metric .* does not exist"),
        ({"rule": "rate", "eror": 1}, "Did you mean error"),
        ({"rule": "rate", "metric": "runs.sum", "error": 1}, "A rule rate has no key"),
        ({"rule": "absolute", "error": 1}, "needs metric"),
        ({"rule": "rate"}, "needs a limit"),
        ({"rule": "rate", "error": "many"}, "finite number"),
        ({"rule": "rate", "error": float("nan")}, "finite number"),
        ({"rule": "rate", "error": True}, "finite number"),
        ({"rule": "rate", "warn": 2, "error": 1}, "Swap"),
        ({"rule": "rate", "warn": 1, "error": 2, "breach": "below"}, "Swap"),
        ({"rule": "rate", "error": 1, "breach": "abov"}, "Did you mean above"),
        ({"rule": "rate", "error": 1, "minimum_sample": -1}, "0 or more"),
        ({"rule": "rate", "error": 1, "minimum_sample": 1.5}, "whole number"),
        ({"rule": "rate", "error": 1, "numerator": "eror.sum"}, "errors"),
        ({"rule": "rate", "error": 1, "denominator": "latency.mean"}, "is not a sum"),
        ({"rule": "rate", "error": 1, "numerator": "error_rate"}, "is not a sum"),
        ({"rule": "absolute", "metric": "eror_rate", "error": 1}, "Did you mean error_rate"),
        ({"rule": "baseline", "metric": "runs.sum", "error": 3, "windows": 3}, "never has 5"),
        ({"rule": "baseline", "metric": "runs.sum", "error": 3, "windows": 0}, "1 or more"),
        ({"version": 9, "rule": "rate", "error": 1}, "version 9"),
    ],
)
def test_a_bad_rule_is_refused(document, part):
    """A rule that says nothing, or two things, is an error where it is written."""
    with pytest.raises(SpecError, match=part):
        rule_from_dict(document)


numbers = st.none() | st.integers(0, 10**9) | st.floats(0, 1e12)
window_figures = st.fixed_dictionaries(
    {
        "runs_sum": st.integers(0, 1000),
        "errors_sum": st.integers(0, 1000),
        "tokens_sum": st.integers(0, 10**9),
        "latency_p95": numbers,
    }
)


@settings(max_examples=60, deadline=None, database=None)
@given(st.sampled_from(RULES), st.lists(window_figures, min_size=12, max_size=12))
def test_no_data_raise(rule, figures):
    """Whatever the figures, there is a verdict, it is consistent, and it is JSON."""
    result = verdict(rule, HOUR, figures)
    assert result.ok is (result.state != "breached") is (result.severity is None)
    assert (result.observed is None) == (result.state == "insufficient_data")
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "history", [[1.7e308] * 6, [-1.7e308, 1.7e308, 0.0, 1.7e308, -1.7e308, 5e-324]]
)
def test_figures_at_the_end_of_doubles_have_a_verdict(history):
    """Where their distance is not a number any more, nothing can be judged; nothing is raised."""
    rule = Baseline(metric="latency.p95", error=3, windows=6)
    figures = [{"latency_p95": value, "runs_sum": 9} for value in [*history, -1.7e308]]
    result = verdict(rule, Window.day(date(2026, 11, 22)), figures)
    assert result.observed is None or not math.isnan(result.observed)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "wrong", [{"error": 10**400}, {"windows": 10**400}, {"tolerance": -1}, {"minimum_sample": "x"}]
)
def test_numbers_that_no_rule_can_have_are_refused(wrong):
    """Beyond a double, or a distance below nothing: a typed error."""
    with pytest.raises(SpecError):
        Baseline(**{"metric": "runs.sum", "error": 3} | wrong)


def test_judging_loads_no_arrow(blank):
    """A verdict is a few figures: a triggerer that watches for errors needs no data library."""
    blank.insert(runs(HOUR, 3, failures=1))
    script = (
        "import sys\n"
        "from vectorshift import Client\n"
        "from vectorshift_orchestration import Absolute, Window, evaluate, top_errors\n"
        "window = Window.parse(*sys.argv[3:])\n"
        "with Client(*sys.argv[1:3]) as client:\n"
        "    rule = Absolute(metric='error_rate', error=0)\n"
        "    print(evaluate(rule, client.query(), window).severity)\n"
        "    print(top_errors(client.query(), window).failed)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    account = (blank.api_key, blank.base_url, *HOUR.to_dict().values())
    done = subprocess.run(
        [sys.executable, "-c", script, *account], capture_output=True, text=True, check=True
    )
    *reported, loaded = done.stdout.splitlines()
    assert reported == ["ERROR", "1"]
    assert not {"pyarrow", "duckdb"} & set(loaded.split())
