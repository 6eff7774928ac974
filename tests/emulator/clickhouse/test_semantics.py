"""The switches of the emulator that claim ClickHouse's semantics, beside ClickHouse 26.9 (chdb 4.4)."""

import json
import random

import pytest

from tests.emulator.wire import text_filter, time_filter

pytestmark = pytest.mark.slow


def test_it_is_the_pinned_clickhouse(clickhouse):
    """What the switches are compared with is ClickHouse 26.9.2.1."""
    assert clickhouse("SELECT version()") == [[["26.9.2.1"]]]


def total(client, operation, key, **body):
    """The total of one operation; None when it has none."""
    return client.aggregate(operation, **body).get(key, {}).get("totalAggregation")


@pytest.mark.parametrize(
    ("switch", "function"),
    [("linear", "quantile"), ("element", "quantileExact"), ("sampled", "quantile")],
)
def test_percentiles_of_small_groups(beside, blank, on_blank, switch, function):
    """Up to 8,192 values a percentile is ClickHouse's to the last digit, for every whole percent."""
    random.seed(4)
    rows = [{"span_id": f"s{n}", "latency": float(random.randint(1, 10**6))} for n in range(997)]
    levels = [percent / 100 for percent in range(101)]
    requested = ", ".join(f"{function}({level})(latency)" for level in levels)
    ((expected,),) = beside(rows, f"SELECT {requested} FROM events")
    blank.settings(percentile=switch)
    result = [
        total(on_blank, f"latency.p{percent}", f"latency_percentile_{percent}")
        for percent in range(101)
    ]
    assert result == pytest.approx(expected, rel=1e-12)


def test_percentiles_of_a_sample(beside, blank, on_blank):
    """Beyond 8,192 values both are off the truth, by less than two of a hundred ranks."""
    rows = [{"span_id": f"s{n}", "latency": float(n)} for n in range(30_000)]
    requested = "SELECT quantile(0.95)(latency), quantileExact(0.95)(latency) FROM events"
    (((sampled, exact),),) = beside(rows, requested)
    assert exact == 28_500
    blank.settings(percentile="element")
    assert total(on_blank, "latency.p95", "latency_percentile_95") == exact
    blank.settings(percentile="sampled")
    result = total(on_blank, "latency.p95", "latency_percentile_95")
    assert 0 < abs(result - exact) < 600
    assert 0 < abs(sampled - exact) < 600


@pytest.mark.parametrize("users", [1_000, 60_000, 66_000, 90_000])
def test_distinct_counts(beside, blank, on_blank, users):
    """Both are exact to 65,536 values, uniq() but for a hash that meets another, and within one percent beyond."""
    rows = [{"span_id": f"s{n}", "user_id": f"u{n}"} for n in range(users)]
    (((uniq,),),) = beside(rows, "SELECT uniq(user_id) FROM events")
    blank.settings(distinct="approximate")
    result = total(on_blank, "users.count_distinct", "users_count_distinct")
    assert (abs(uniq - users) <= 2) == (result == users) == (users <= 65_536)
    assert abs(uniq - users) < users / 100
    assert abs(result - users) < users / 100


@pytest.mark.parametrize(("absent", "table"), [("null", "events"), ("default", "defaults")])
def test_absent_values(beside, blank, on_blank, absent, table):
    """Missing values count for nothing in Nullable columns, and as 0 and '' in the others."""
    rows = [
        {"span_id": "a", "latency": 30.0, "tokens": 3, "user_id": "u", "error_message": "x"},
        {"span_id": "b"},
        {"span_id": "c", "latency": 10.0, "error_message": "y"},
    ]
    answers = beside(
        rows,
        f"SELECT avg(latency), min(latency), max(latency), quantileExact(0.5)(latency), sum(tokens),"
        f" uniq(user_id) FROM {table}",
        f"SELECT count() FROM {table} WHERE error_message = ''",
    )
    blank.settings(absent=absent, percentile="element")
    operations = ("latency.mean", "latency.min", "latency.max", "latency.p50", "tokens.sum")
    result = on_blank.aggregate(*operations, "users.count_distinct")
    assert [result[key]["totalAggregation"] for key in result] == pytest.approx(answers[0][0])
    empty = [text_filter("ERROR_MESSAGE", "")]
    assert on_blank.count(table_filters=empty) == int(answers[1][0][0])


def test_groups_without_values(beside, blank, on_blank):
    """Grouped, nothing has no rows; ungrouped, sums are 0 and means NaN, which no reply of ours has."""
    answers = beside(
        [{"span_id": "a"}],
        "SELECT sum(latency), avg(latency) FROM events WHERE span_id = 'b' GROUP BY user_id",
        "SELECT sum(latency), avg(latency), uniq(user_id) FROM defaults WHERE span_id = 'b'",
        "SELECT avg(latency) FROM events",
    )
    assert answers == [[], [[0, None, 0]], [[None]]]
    assert on_blank.aggregate("latency.sum", end_time="2020-01-02T00:00:00Z") == {}
    assert on_blank.aggregate("latency.mean") == {}


INSTANTS = [
    "2026-02-28T23:59:59.999Z",
    "2026-03-01T00:00:00Z",
    "2026-03-01T00:30:00.250Z",
    "2026-03-01T04:44:00Z",
    "2026-03-01T05:15:00Z",
    "2026-03-01T22:59:59Z",
    "2026-03-29T00:59:59Z",
    "2026-03-29T01:00:00Z",
    "2026-10-24T23:30:00Z",
    "2026-10-25T01:30:00Z",
    "2026-12-31T23:00:00Z",
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_time_buckets(beside, blank, on_blank, zone):
    """Buckets and their texts are those of toStartOfInterval, and of toStartOfWeek from Sunday on."""
    rows = [{"span_id": f"s{n}", "start_time": start} for n, start in enumerate(INSTANTS)]
    starts = {
        (interval, "monday"): f"toStartOfInterval(start_time, INTERVAL 1 {interval}, '{zone}')"
        for interval in ("HOUR", "DAY", "WEEK", "MONTH", "YEAR")
    }
    starts["WEEK", "sunday"] = f"toStartOfWeek(start_time, 0, '{zone}')"
    expected = beside(
        rows,
        *(
            f"SELECT toString({start}), count() FROM events GROUP BY {start} ORDER BY {start}"
            for start in starts.values()
        ),
    )
    actual = {}
    for interval, week_start in starts:
        blank.settings(zone=zone, labels="date", week_start=week_start)
        result = on_blank.aggregate("runs.sum", interval=interval)["runs_sum"]["result"]
        actual[interval, week_start] = result["aggregationMap"]
    assert actual == {
        case: {label: int(count) for label, count in answer}
        for case, answer in zip(starts, expected, strict=True)
    }


def test_text_bounds(beside, blank, on_blank):
    """A bound is cut to its column's digits as a text, and to seconds as clickhouse-go binds it."""
    starts = ["10:00:00", "10:00:00.499", "10:00:00.5", "10:00:00.501", "10:00:01"]
    rows = [
        {"span_id": f"s{n}", "start_time": f"2026-03-01T{start}Z"} for n, start in enumerate(starts)
    ]
    bounds = [f"10:00:00{digits}" for digits in (".499500", ".500", ".5005", ".0005", ".999")]
    forms = {
        "us": "toDateTime64('2026-03-01 {}', 6, 'UTC')",
        "ms": "'2026-03-01 {}'",
        "s": "toDateTime('2026-03-01 {:.8}', 'UTC')",
    }
    operators = {
        ">": "GREATER_THAN",
        ">=": "GREATER_THAN_EQUALS",
        "<": "LESS_THAN",
        "<=": "LESS_THAN_EQUALS",
        "=": "EQUALS",
    }
    cases = [
        (precision, bound, sign) for precision in forms for bound in bounds for sign in operators
    ]
    answers = beside(
        rows,
        *(
            f"SELECT count() FROM events WHERE start_time {sign} {forms[precision].format(bound)}"
            for precision, bound, sign in cases
        ),
    )
    result = []
    for precision, bound, sign in cases:
        blank.settings(bound_precision=precision)
        requested = time_filter("SPAN_START_TIME", f"2026-03-01T{bound}Z", operators[sign])
        result.append(on_blank.count(table_filters=[requested]))
    assert dict(zip(cases, result, strict=True)) == {
        case: int(answer[0][0]) for case, answer in zip(cases, answers, strict=True)
    }


PATTERNS = (
    "one.two",
    "^two",
    "ONE",
    "(?i)ONE",
    r"\d+",
    "a|two$",
    "e.t",
    "(unfinished",
    "[",
    "*",
    "",
)


def test_matches(clickhouse, beside, on_blank):
    """MATCHES finds what match() finds, and fails with its words where it fails."""
    texts = ["one\ntwo", "one two", "TWO", "12", "ee\tt", ""]
    rows = [{"span_id": f"s{n}", "error_message": text} for n, text in enumerate(texts)]
    literals = {pattern: "'" + pattern.replace("\\", "\\\\") + "'" for pattern in PATTERNS}
    compiled = clickhouse(*(f"SELECT match('', {literal})" for literal in literals.values()))
    bad = {
        pattern: answer["error"]
        for pattern, answer in zip(PATTERNS, compiled, strict=True)
        if isinstance(answer, dict)
    }
    good = [pattern for pattern in PATTERNS if pattern not in bad]
    where = "SELECT span_id FROM events WHERE match(error_message, {}) ORDER BY span_id"
    answers = beside(rows, *(where.format(literals[pattern]) for pattern in good))

    def asked(pattern):
        body = {"table_filters": [text_filter("ERROR_MESSAGE", pattern, "MATCHES")]}
        return on_blank.ask("/events/search", body)

    assert bad.keys() == {"(unfinished", "[", "*"}
    for pattern, error in bad.items():
        reply = asked(pattern)
        assert reply["status"] == "failed"
        assert reply["error"].partition(", error:")[0] == error.partition(", error:")[0]
    result = {
        pattern: sorted(event["spanId"] for event in asked(pattern)["events"]) for pattern in good
    }
    assert result == {
        pattern: [span for (span,) in answer] for pattern, answer in zip(good, answers, strict=True)
    }


def test_pages_in_an_order_with_ties(beside, blank, on_blank):
    """Ordered by time alone, pages repeat rows and skip others; with the id behind it, none."""
    times = [f"2026-03-01T10:00:0{n % 4}Z" for n in range(6_000)]
    rows = [{"span_id": f"s{n:04}", "start_time": time} for n, time in enumerate(times)]
    orders = {"total": "start_time DESC, span_id", "ties": "start_time DESC"}
    offsets = range(0, 6_000, 500)
    answers = beside(
        rows,
        *(
            f"SELECT span_id, start_time FROM events ORDER BY {order} LIMIT 500 OFFSET {offset}"
            for order in orders.values()
            for offset in offsets
        ),
    )
    for switch in orders:
        theirs = [row for page in answers[: len(offsets)] for row in page]
        answers = answers[len(offsets) :]
        blank.settings(order=switch)
        ours = [
            event
            for offset in offsets
            for event in on_blank.search(
                pagination_config={"results_per_page": 500, "offset": offset}
            )
        ]
        times = [[at for _, at in theirs], [event["startTime"] for event in ours]]
        assert times == [sorted(each, reverse=True) for each in times]
        whole = [
            len({span for span, _ in theirs}) == 6_000,
            len({event["spanId"] for event in ours}) == 6_000,
        ]
        assert whole == [switch == "total"] * 2


def test_null_in_csv(beside, blank, on_blank):
    """ClickHouse writes null as \\N and quotes a text that really is \\N, as file_null has it."""
    rows = [{"span_id": "a"}, {"span_id": "b", "error_message": "\\N"}]
    (text,) = beside(rows, "SELECT error_message FROM events ORDER BY span_id FORMAT CSV")
    blank.settings(file_null="\\N", order="total")
    columns = [{"column_label": "error", "column_type": "ERROR_MESSAGE"}]
    table = {"columns": columns}
    lines = []
    for span in ("a", "b"):
        value = {"string_value": span}
        scope = {"column_name": "SpanId", "value": value, "operator": "OPERATOR_EQUAL"}
        body = {"data_table": {**table, "filters": [scope]}, "extension": "CSV", "file_name": "e"}
        url = on_blank.ask("/exports", body)["download_url"]
        content = on_blank.raw("GET", url.removeprefix(on_blank.base_url.removesuffix("/v1")))[2]
        lines += content.decode().splitlines()[1:]
    assert lines == text.splitlines()


def test_ndjson(beside, blank, on_blank):
    """json_form=ndjson is JSONEachRow: an object a line, null where there is no value."""
    rows = [{"span_id": "a", "error_message": 'a "b"\n', "latency": 1.5}, {"span_id": "b"}]
    names = {"span_id": "SpanId", "error_message": "ERROR_MESSAGE", "latency": "LATENCY"}
    requested = f"SELECT {', '.join(names)} FROM events ORDER BY span_id FORMAT JSONEachRow"
    (text,) = beside(rows, requested)
    blank.settings(json_form="ndjson")
    columns = [{"column_label": label, "column_type": type_} for label, type_ in names.items()]
    body = {"data_table": {"columns": columns}, "extension": "JSON", "file_name": "e"}
    url = on_blank.ask("/exports", body)["download_url"]
    content = on_blank.raw("GET", url.removeprefix(on_blank.base_url.removesuffix("/v1")))[2]
    ours = sorted(
        (json.loads(line) for line in content.splitlines()), key=lambda row: row["span_id"]
    )
    assert ours == [json.loads(line) for line in text.splitlines()]
