"""The switches: how they are set, refused and documented, and what each does to replies."""

import json
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from tests.emulator.wire import scope, text_filter, time_filter
from vectorshift_emulator import ControlError, serve
from vectorshift_emulator._settings import PROFILES, SWITCHES, BadSetting, Settings

DOCS = (Path(__file__).parents[2] / "docs" / "emulator-switches.md").read_text()


def documented():
    """The rows of the tables of switches: name, values, default."""
    for line in DOCS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`") and len(cells) == 4:
            yield cells[0].strip("`"), set(re.findall("`([^`]+)`", cells[1])), cells[2].strip("`")


def test_every_switch_is_documented_with_its_values_and_default():
    """docs/emulator-switches.md lists the switches that there are, what each takes and its default."""
    rows = {name: (values, default) for name, values, default in documented()}
    assert rows.keys() == SWITCHES.keys()
    for name, default in Settings().as_dict().items():
        values, displayed = rows[name]
        assert displayed == (default if isinstance(default, str) else json.dumps(default)), name
        if get_origin(SWITCHES[name]) is Literal:
            assert {str(one) for one in get_args(SWITCHES[name])} <= values, name


def test_every_profile_is_documented_whole():
    """docs/emulator-switches.md says which switches each profile sets, and to what."""
    for name, switches in PROFILES.items():
        (row,) = (line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
        reported = dict(re.findall(r"`(\w+)=([^`]+)`", row))
        assert reported == {switch: str(value) for switch, value in switches.items()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bound_precison": "ms"}, "did you mean bound_precision"),
        ({"bound_precision": "mss"}, "did you mean ms"),
        ({"zeros": "omited"}, "did you mean omitted"),
        ({"time_digits": "3"}, "did you mean 3"),
        ({"time_digits": True}, "time_digits"),
        ({"digest": 1}, "true or false"),
        ({"zone": "Europe/Berlim"}, "did you mean Europe/Berlin"),
        ({"zone": None}, "IANA"),
        ({"xlsx_sheet_rows": 2.5}, "whole number"),
        ({"xlsx_sheet_rows": 0}, "above 0"),
        ({"rate_limit": -1}, "above 0"),
        ({"live": float("nan")}, "0 or more"),
        ({"profile": "go-clickhose"}, "did you mean go-clickhouse"),
        ({"profile": ["plain"]}, "profile"),
        (["keys"], "object"),
    ],
)
def test_an_unknown_switch_or_value_is_refused_with_the_nearest(blank, changes, reason):
    """The refusal names what may have been meant, and nothing is changed."""
    before = blank.settings()
    with pytest.raises(ControlError, match=f"400.*{reason}"):
        blank._call("POST", "/settings", changes)
    assert blank.settings() == before


def test_serve_refuses_an_unknown_switch_before_it_starts():
    """serve() takes every switch and a profile, and refuses others with a typed error."""
    with pytest.raises(BadSetting, match="did you mean percentile"), serve(percentil="element"):
        pass
    with serve(events=0, profile="go-clickhouse", order="none") as emulator:
        displayed = emulator.settings()
    assert (displayed["zeros"], displayed["order"], displayed["keys"]) == (
        "omitted",
        "none",
        "camel",
    )


def test_a_profile_sets_all_that_profiles_are_about_and_nothing_else(blank):
    """From one profile to another nothing of the first stays; other switches stay."""
    blank.settings(keys="snake", profile="go-clickhouse")
    displayed = blank.settings(profile="plain")
    assert displayed == Settings(**PROFILES["plain"], keys="snake", export_mode="sync").as_dict()
    assert blank.settings(profile="default")["int64"] == "text"


def test_int64_is_text_or_a_number(blank, on_blank):
    """Counts are text as protojson prints 64-bit integers, or numbers."""
    blank.insert([{}])
    assert on_blank.ask("/events/count", {})["count"] == "1"
    blank.settings(int64="number")
    assert on_blank.ask("/events/count", {})["count"] == 1
    page = on_blank.ask("/events/search", {})["pagination_meta"]
    assert page == {"results_per_page": 50, "page_number": 1, "offset": 0, "total_records": 1}


def test_zeros_may_be_omitted(blank, on_blank):
    """With zeros=omitted a count or a total of zero is not printed at all, a map's value is."""
    blank.settings(zeros="omitted")
    assert on_blank.ask("/events/count", {}) == {"status": "success"}
    assert "total_records" not in on_blank.ask("/events/search", {})["pagination_meta"]
    blank.insert([{"model_id": "a"}, {"model_id": "b"}])
    result = on_blank.aggregate("errors.sum", by=("MODEL_ID",))["errors_sum"]
    assert result == {"result": {"aggregationMap": {"a": 0, "b": 0}}}


def test_totals_may_be_unfilled(blank, on_blank):
    """With zeros=unfilled every total is printed as 0 beside slices that are not."""
    blank.insert([{"model_id": "a"}, {"model_id": "b"}])
    blank.settings(zeros="unfilled")
    assert on_blank.aggregate("runs.sum", by=("MODEL_ID", "NODE_TYPE"))["runs_sum"] == {
        "totalAggregation": 0,
        "nestedResult": {
            "nestedAggregationMap": {
                model: {"totalAggregation": 0, "result": {"aggregationMap": {"": 1}}}
                for model in "ab"
            }
        },
    }


@pytest.mark.parametrize("zeros", ["kept", "omitted", "unfilled"])
def test_leaves_may_be_messages(blank, on_blank, zeros):
    """With leaf=message the innermost bucket is a message; its zero may be left out."""
    blank.insert([{"model_id": "a", "status": "failure"}, {"model_id": "b"}])
    blank.settings(leaf="message", zeros=zeros)
    result = on_blank.aggregate("errors.sum", by=("MODEL_ID",))["errors_sum"]
    empty = {} if zeros == "omitted" else {"totalAggregation": 0}
    assert result == {
        "totalAggregation": 0 if zeros == "unfilled" else 1,
        "nestedResult": {"nestedAggregationMap": {"a": {"totalAggregation": 1}, "b": empty}},
    }


@pytest.mark.parametrize(
    ("switch", "told"),
    [("right", "12"), ("0", "0"), ("page", "5"), ("absent", None)],
)
def test_total_records_may_be_wrong_or_absent(blank, on_blank, switch, told):
    """Pages of events and of tables say the number of all records, or of the page, 0 or nothing."""
    blank.insert([{}] * 12)
    blank.settings(total_records=switch)
    page = {"pagination_config": {"results_per_page": 5}}
    assert on_blank.ask("/events/search", page)["pagination_meta"].get("total_records") == told
    assert (
        on_blank.ask("/tables", page | {"return_record_count": True}).get("total_records") == told
    )


def pages(client, size=100):
    """The span ids of all pages, one after the other."""
    result = []
    for number in range(10):
        page = {"results_per_page": size, "offset": number * size}
        result += client.spans(pagination_config=page)
    return result


def test_order_ties_keeps_times_in_order_and_repeats_rows_of_one_time(blank, on_blank):
    """With order=ties rows of one time come in another order on each page."""
    times = [f"2026-03-01T10:00:{number // 100:02}Z" for number in range(1000)]
    blank.insert([{"span_id": f"s{n}", "start_time": time} for n, time in enumerate(times)])
    assert sorted(pages(on_blank)) == sorted(f"s{n}" for n in range(1000))
    blank.settings(order="ties")
    whole = [int(span[1:]) // 100 for span in pages(on_blank)]
    assert whole == sorted(whole, reverse=True)
    seen = pages(on_blank, 70)
    assert len(seen) > len(set(seen))


def test_order_none_repeats_and_skips(blank, on_blank):
    """With order=none every page is drawn anew, so pages overlap."""
    blank.insert([{"span_id": f"s{n}"} for n in range(1000)])
    blank.settings(order="none")
    seen = pages(on_blank)
    assert len(seen) == 1000 > len(set(seen)) > 300


def test_absent_values_may_be_defaults(blank, on_blank):
    """With absent=default a missing text is '', a missing number 0, a missing end 1970."""
    blank.insert([{"span_id": "a", "latency": 10.0, "error_message": "x"}, {"span_id": "b"}])
    assert on_blank.count(table_filters=[text_filter("ERROR_MESSAGE", "")]) == 0
    blank.settings(absent="default")
    assert on_blank.spans(table_filters=[text_filter("ERROR_MESSAGE", "")]) == ["b"]
    (event,) = on_blank.search(filters=[scope("SpanId", "b")])
    assert (event["statusMessage"], event["latency"]) == ("", 0)
    assert event["endTime"] == "1970-01-01T00:00:00.000Z"
    requested = [{"column_label": name, "column_type": name} for name in ("LATENCY", "MODEL_ID")]
    (row,) = on_blank.ask("/tables", {"columns": requested, "filters": [scope("SpanId", "b")]})[
        "rows"
    ]
    assert row["cells"] == [
        {"columnLabel": "LATENCY", "numberValue": 0.0},
        {"columnLabel": "MODEL_ID", "stringValue": ""},
    ]
    mean = on_blank.aggregate("latency.mean")["latency_mean"]["totalAggregation"]
    assert mean == 5
    blank.settings(zeros="omitted")
    (event,) = on_blank.search(filters=[scope("SpanId", "b")])
    assert not {"statusMessage", "latency", "modelId"} & event.keys()


def test_matches_is_clickhouses_or_lenient(blank, on_blank):
    """By default `.` matches a line break and a bad pattern fails; lenient is as it was."""
    blank.insert([{"span_id": "a", "error_message": "one\ntwo (unfinished"}])
    dotted = [text_filter("ERROR_MESSAGE", "one.two", "MATCHES")]
    bad = [text_filter("ERROR_MESSAGE", "(unfin", "MATCHES")]
    assert on_blank.spans(table_filters=dotted) == ["a"]
    reply = on_blank.ask("/events/search", {"table_filters": bad})
    assert reply["status"] == "failed"
    assert "Code: 427" in reply["error"]
    blank.settings(matches="lenient")
    assert on_blank.spans(table_filters=dotted) == []
    assert on_blank.spans(table_filters=bad) == ["a"]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("us", "a b"), ("ms", "a b"), ("s", "")],
)
def test_bounds_are_cut_where_the_service_cuts_them(blank, on_blank, precision, expected):
    """Both bounds and the times of table filters lose what is finer than the precision."""
    blank.insert(
        [
            {"span_id": "a", "start_time": "2026-03-01T10:00:00.500Z"},
            {"span_id": "b", "start_time": "2026-03-01T10:00:00.501Z"},
        ]
    )
    blank.settings(bound_precision=precision)
    body = {"start_time": "2026-03-01T10:00:00.4995Z", "end_time": "2026-03-01T10:00:00.5015Z"}
    assert sorted(on_blank.spans(**body)) == expected.split()
    later = [time_filter("SPAN_START_TIME", "2026-03-01T10:00:00.5005Z", "GREATER_THAN")]
    result = {"us": ["b"], "ms": ["b"], "s": ["b", "a"]}[precision]
    assert on_blank.spans(table_filters=later) == result
    least = [time_filter("SPAN_START_TIME", "2026-03-01T10:00:00.5005Z", "GREATER_THAN_EQUALS")]
    result = {"us": ["b"], "ms": ["b", "a"], "s": ["b", "a"]}[precision]
    assert on_blank.spans(table_filters=least) == result


@pytest.mark.parametrize(
    ("clock", "digits", "printed"),
    [
        ("ms", 3, "00.500Z 00.000Z"),
        ("ms", 0, "00.500Z 00Z"),
        ("ms", 9, "00.500000000Z 00.000000000Z"),
        ("us", 3, "00.500250Z 00.000Z"),
        ("us", 0, "00.500250Z 00Z"),
        ("us", 6, "00.500250Z 00.000000Z"),
        ("ns", 0, "00.500250125Z 00Z"),
        ("ns", 9, "00.500250125Z 00.000000000Z"),
    ],
)
def test_times_have_the_digits_of_the_clock(blank, on_blank, clock, digits, printed):
    """A start is as fine as the clock, and printed with the digits it needs, but with some at least."""
    fine = {"ms": "00.500Z", "us": "00.50025Z", "ns": "00.500250125Z"}[clock]
    blank.settings(clock=clock, time_digits=digits)
    starts = [f"2026-03-01T10:00:{fine}", "2026-03-01T10:00:00Z"]
    blank.insert([{"start_time": start} for start in starts])
    expected = [f"2026-03-01T10:00:{text}" for text in printed.split()]
    assert [event["startTime"] for event in on_blank.search()] == expected
    requested = [{"column_label": "at", "column_type": "SPAN_START_TIME"}]
    rows = on_blank.ask("/tables", {"columns": requested})["rows"]
    assert [row["cells"][0]["stringValue"] for row in rows] == expected


def test_nanoseconds_count_in_comparisons(blank, on_blank):
    """A start a few nanoseconds after a bound is after it, whatever the bounds' strictness."""
    blank.settings(clock="ns")
    for refused in ("end_time", "session_last_message_time"):
        with pytest.raises(ControlError, match="finer than a microsecond"):
            blank.insert([{refused: "2026-03-01T10:00:00.000000001Z"}])
    blank.insert([{"span_id": "a", "start_time": "2026-03-01T10:00:00.000000001Z"}])
    at = "2026-03-01T10:00:00Z"
    for bounds in ("closed", "open", "half-open", "open-closed"):
        blank.settings(bounds=bounds)
        assert on_blank.spans(start_time=at) == ["a"]
        assert on_blank.spans(end_time=at) == []
    assert on_blank.spans(table_filters=[time_filter("SPAN_START_TIME", at, "EQUALS")]) == []
    assert on_blank.spans(table_filters=[time_filter("SPAN_START_TIME", at, "GREATER_THAN")]) == [
        "a"
    ]


@pytest.mark.parametrize("clock", ["us", "ns"])
def test_generated_events_are_as_fine_as_the_clock(clock):
    """With a finer clock the generated traces start off the millisecond, whole and in their window."""
    with serve(events=500, days=2, clock=clock) as emulator:
        (result,) = emulator.truth(
            "SELECT count(*) FILTER (epoch_us(start_time) % 1000 > 0) AS fine, sum(start_ns) > 0 AS nano,"
            " bool_and(latency IS NULL OR latency = epoch_ms(end_time) - epoch_ms(start_time)) AS whole"
            " FROM events"
        )
    assert result["fine"] > 400
    assert (result["nano"], result["whole"]) == (clock == "ns", True)


@pytest.mark.parametrize(
    ("switches", "interval", "labels"),
    [
        ({}, "WEEK", ["2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"]),
        ({"week_start": "sunday"}, "WEEK", ["2026-03-01T00:00:00Z"]),
        ({"labels": "date"}, "WEEK", ["2026-02-23", "2026-03-02"]),
        ({"labels": "date"}, "DAY", ["2026-03-01 00:00:00", "2026-03-02 00:00:00"]),
        ({"labels": "date"}, "HOUR", ["2026-03-01 22:00:00", "2026-03-02 00:00:00"]),
        ({"labels": "space"}, "MONTH", ["2026-03-01 00:00:00"]),
        (
            {"zone": "Europe/Berlin"},
            "DAY",
            ["2026-03-01T00:00:00+01:00", "2026-03-02T00:00:00+01:00"],
        ),
        ({"zone": "Pacific/Auckland"}, "DAY", ["2026-03-02T00:00:00+13:00"]),
        (
            {"zone": "Asia/Kolkata"},
            "HOUR",
            ["2026-03-02T04:00:00+05:30", "2026-03-02T05:00:00+05:30"],
        ),
        ({"zone": "Pacific/Auckland", "labels": "date"}, "WEEK", ["2026-03-02"]),
        ({"zone": "America/New_York", "labels": "space"}, "YEAR", ["2026-01-01 00:00:00"]),
    ],
)
def test_time_labels(blank, on_blank, switches, interval, labels):
    """Buckets begin where the zone and the week have them begin, and are labelled as the switch says."""
    blank.insert([{"start_time": "2026-03-01T22:45:00Z"}, {"start_time": "2026-03-02T00:15:00Z"}])
    blank.settings(**switches)
    result = on_blank.aggregate("runs.sum", interval=interval)["runs_sum"]
    assert list(result["result"]["aggregationMap"]) == labels


def test_hours_where_clocks_are_put_back_are_two(blank, on_blank):
    """The hour that comes twice in a night in October is two buckets, told apart by their offsets."""
    blank.insert([{"start_time": "2026-10-25T00:30:00Z"}, {"start_time": "2026-10-25T01:30:00Z"}])
    blank.settings(zone="Europe/Berlin")
    result = on_blank.aggregate("runs.sum", interval="HOUR")["runs_sum"]
    assert result["result"]["aggregationMap"] == {
        "2026-10-25T02:00:00+02:00": 1,
        "2026-10-25T02:00:00+01:00": 1,
    }


def test_a_percentile_may_be_one_of_the_values_or_of_a_sample(blank, on_blank):
    """element takes the value at the place level * count; sampled is linear up to 8,192 values."""
    blank.insert([{"latency": float(value)} for value in (1, 2, 3, 4)])

    def answered(percent):
        operation = f"latency.p{percent}"
        return on_blank.aggregate(operation)[f"latency_percentile_{percent}"]["totalAggregation"]

    assert answered(50) == 2.5
    blank.settings(percentile="element")
    assert [answered(percent) for percent in (0, 50, 100)] == [1, 3, 4]
    blank.settings(percentile="sampled")
    assert answered(50) == 2.5
    blank.insert([{"latency": float(value)} for value in range(20_000)])
    sampled = answered(95)
    assert sampled == answered(95) != 18_999.05
    assert abs(sampled - 19_000) < 300


def test_a_distinct_count_may_be_approximate(blank, on_blank):
    """approximate is exact to 65,536 values and within one percent beyond."""
    for start in (0, 30_000, 60_000):
        blank.insert([{"user_id": f"u{start + n}"} for n in range(30_000)])
        blank.settings(distinct="approximate")
        operation = on_blank.aggregate("users.count_distinct")["users_count_distinct"]
        result, truth = operation["totalAggregation"], start + 30_000
        assert (result == truth) == (truth <= 65_536)
        assert abs(result - truth) < truth / 100
