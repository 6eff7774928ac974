"""Several tables in one request: as few as are exact, and the same figures as one by one."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

import pytest

from tests.days import MIDNIGHT
from vectorshift import Client
from vectorshift_orchestration.errors import SpecError, WindowError
from vectorshift_orchestration.extract import aggregate, shared_requests
from vectorshift_orchestration.extract.shared_requests import aggregate_many, plan
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

SUMS = ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "latency.max", "latency.min"]
BY_PIPELINE = AggregationSpec(SUMS, ["time", "pipeline_id"], "day")
BY_MODEL = AggregationSpec(SUMS, ["time", "model_id"], "day")
BY_HOUR = AggregationSpec(SUMS, ["time"], "hour")
ERRORS = AggregationSpec(["errors.sum"], ["time", "pipeline_id", "model_id"], "day")
P95 = AggregationSpec(["latency.p95", "runs.sum"], ["time", "pipeline_id"], "day")
P95_ALL = AggregationSpec(["latency.p95", "users.count_distinct"], ["time"], "day")
MEAN = AggregationSpec(["latency.mean"], ["time", "model_id"], "day")
WEEKS = AggregationSpec(SUMS, ["time", "model_id"], "week")
MONTHS = AggregationSpec(SUMS, ["time"], "month")


@pytest.fixture
def window():
    """Four weeks of Mondays to Sundays before now."""
    midnight = MIDNIGHT
    monday = midnight - timedelta(days=midnight.weekday())
    return Window(monday - timedelta(weeks=4), monday)


@pytest.fixture
def account(vectorshift_emulator):
    """A client of the account with events."""
    with Client(vectorshift_emulator.api_key, vectorshift_emulator.base_url) as client:
        yield client


@contextmanager
def altered(emulator, change):
    """A service between client and emulator that changes every aggregation's reply."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            address = emulator.base_url + self.path.removeprefix("/v1")
            with urlopen(Request(address, body, headers), timeout=30) as reply:
                reported = json.load(reply)
            change(reported)
            answer = json.dumps(reported).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Client(emulator.api_key, f"http://127.0.0.1:{server.server_port}/v1") as client:
            yield client
        server.shutdown()
        thread.join()


def nodes(value):
    """Every object in a reply."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)


def without_totals(reply):
    """A service that sends slices and no totals."""
    for node in nodes(reply):
        node.pop("total_aggregation", None)
        node.pop("totalAggregation", None)


def overlapping(reply):
    """A service whose innermost slices overlap: each event is in two of them."""
    for node in nodes(reply):
        for key in ("aggregation_map", "aggregationMap"):
            if key in node:
                node[key] = {label: 2 * figure for label, figure in node[key].items()}


def same(found, wanted):
    """Whether two tables agree, sums of fractions up to rounding."""
    assert found.schema == wanted.schema
    assert [
        {k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()}
        for row in found.to_pylist()
    ] == wanted.to_pylist()


@pytest.mark.parametrize(
    ("specs", "requests"),
    [
        ([BY_PIPELINE, BY_MODEL, BY_HOUR, ERRORS], 1),
        ([P95, P95_ALL, ERRORS], 1),
        ([P95, P95_ALL, WEEKS], 1),
        ([P95, MEAN], 2),
        ([P95, BY_HOUR, BY_MODEL], 2),
        ([AggregationSpec(["runs.sum"]), BY_HOUR], 2),
    ],
)
def test_as_few_requests_as_are_exact(specs, requests, window, account, vectorshift_emulator):
    """Tables share a request where the algebra allows it, and each is what it would be alone."""
    alone = [aggregate(account.query(), window, spec) for spec in specs]
    vectorshift_emulator.reset_counters()
    answers = aggregate_many(account.query(), window, specs)
    assert vectorshift_emulator.counters()["requests"] == {"aggregations": requests}
    assert (answers.requests, answers.separate_reason) == (requests, None)
    for result, expected in zip(answers.tables, alone, strict=True):
        assert expected.num_rows
        same(result, expected)


@pytest.mark.parametrize(
    ("change", "specs", "separate_reason"),
    [
        (without_totals, [P95, P95_ALL], "no totals of latency"),
        (overlapping, [BY_PIPELINE, BY_MODEL], "overlap"),
    ],
)
def test_a_reply_that_cannot_be_shared_is_not(
    change, specs, separate_reason, window, vectorshift_emulator
):
    """Without totals, or with slices that overlap, every table is requested separately instead of guessed."""
    with altered(vectorshift_emulator, change) as client:
        alone = [aggregate(client.query(), window, spec) for spec in specs]
        answers = aggregate_many(client.query(), window, specs)
    assert separate_reason in answers.separate_reason
    assert answers.requests == 1 + len(specs)
    assert answers.tables == alone


def test_sums_need_no_totals(window, account, vectorshift_emulator):
    """Where every figure adds up, a service without totals still answers in one request."""
    specs = [BY_PIPELINE, BY_MODEL, BY_HOUR, ERRORS]
    alone = [aggregate(account.query(), window, spec) for spec in specs]
    with altered(vectorshift_emulator, without_totals) as client:
        answers = aggregate_many(client.query(), window, specs)
    assert (answers.requests, answers.separate_reason) == (1, None)
    for result, expected in zip(answers.tables, alone, strict=True):
        same(result, expected)


def test_weeks_and_months_meet_in_days():
    """Intervals that do not divide each other share the coarsest one that divides both."""
    (request,) = plan([WEEKS, MONTHS])
    assert request.spec.interval == "day"
    assert (request.totals, request.sums) == ((), (0, 1))


def test_sharing_can_be_declined(window, account):
    """With share=False every table is a request of its own."""
    answers = aggregate_many(account.query(), window, [BY_PIPELINE, BY_MODEL], share=False)
    assert answers.requests == 2


def test_an_impossible_question_is_refused(window, account, vectorshift_emulator):
    """No tables, and a window that cuts a bucket, are errors before anything is sent."""
    vectorshift_emulator.reset_counters()
    with pytest.raises(SpecError, match="nothing to measure"):
        aggregate_many(account.query(), window, [])
    cut = Window(window.start, window.end - timedelta(hours=1))
    with pytest.raises(WindowError, match="whole day"):
        aggregate_many(account.query(), cut, [P95, P95_ALL])
    assert vectorshift_emulator.counters()["requests"] == {}


@pytest.mark.parametrize(
    ("specs", "most", "parts"),
    [
        ([BY_PIPELINE], 10, 3),
        ([BY_PIPELINE, BY_MODEL, BY_HOUR], 24 * 7, 4),
        ([P95], 1, 28),
        ([WEEKS, BY_HOUR], 24 * 10, 4),
        ([P95, P95_ALL], 28, 1),
    ],
    ids=str,
)
def test_a_long_window_is_measured_part_by_part(
    account, vectorshift_emulator, window, monkeypatch, specs, most, parts
):
    """No request has more buckets of the finest interval than the limit, and the rows are those of one request."""
    whole = aggregate_many(account.query(), window, specs)
    monkeypatch.setattr(shared_requests, "MOST_BUCKETS", most)
    divided = aggregate_many(account.query(), window, specs)
    assert divided.requests == whole.requests * parts
    for one, other in zip(divided.tables, whole.tables, strict=True):
        assert one.schema == other.schema
        assert one["bucket_start"].to_pylist() == other["bucket_start"].to_pylist()
        figures = (table.drop_columns(["bucket_start"]).to_pylist() for table in (one, other))
        for got, expected in zip(*figures, strict=True):
            assert got == pytest.approx(expected)


def test_a_window_that_no_interval_divides_is_one_request(account, window, monkeypatch):
    """Weeks and months share few edges, and a figure that is not sliced by time has none."""
    monkeypatch.setattr(shared_requests, "MOST_BUCKETS", 1)
    unsliced = AggregationSpec(SUMS, ["pipeline_id"])
    whole = aggregate_many(account.query(), window, [unsliced])
    assert whole.requests == 1
