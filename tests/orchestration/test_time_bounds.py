"""However a service cuts and compares times, a window holds its own events: all of them, and no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from tests.orchestration.test_windows_bounds import MODES, exported_ids
from vectorshift import Client
from vectorshift.analytics import EventField, FieldFilter
from vectorshift_emulator import Emulator, serve
from vectorshift_orchestration import extract
from vectorshift_orchestration.errors import AggregationShapeError, SpecError, WindowError
from vectorshift_orchestration.exports import ExportRequest
from vectorshift_orchestration.exports.fetch import submit
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.windows import Window

END = datetime(2026, 3, 3, tzinfo=UTC)
HOURS = Window(END - timedelta(hours=46), END).split("hour")
PRECISIONS = ["us", "ms", "s"]
CLOCKS = ["ms", "us", "ns"]
LONG_CLOCKS = os.environ.get("TEST_CLOCKS", "us").split()
"""The clocks of two whole days of windows, which take minutes; `TEST_CLOCKS="ms us ns"` is all of them."""
START = END - timedelta(days=9)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
HALF = timedelta(minutes=30, milliseconds=250)
SERVICES = list(product(PRECISIONS, MODES))
FIGURES = AggregationSpec(["runs.sum", "latency.max", "latency.p95"])
RUNS = AggregationSpec(["runs.sum"])
BY_MODEL = AggregationSpec(["runs.sum", "tokens.sum"], ["model_id"])
BY_HOUR = AggregationSpec(["runs.sum"], ["time"], "hour")

BESIDE = {
    "ms": ["-1.000", "-0.001", "+0.000", "+0.001", "+1.000"],
    "us": ["-0.000500", "-0.000001", "+0.000001", "+0.000500"],
    "ns": ["-0.000000001", "+0.000000001"],
}
"""Seconds beside an edge at which an event is planted, by the coarsest clock that has them."""


def planted(clock: str, windows: list[Window]) -> Iterator[dict[str, str]]:
    """Events on the edges and just beside them, as finely as the clock can tell."""
    for edge in [windows[0].start, *(window.end for window in windows)]:
        for reported in CLOCKS[: CLOCKS.index(clock) + 1]:
            for shift in BESIDE[reported]:
                nanoseconds = round(float(shift) * 1_000_000_000)
                seconds, rest = divmod(nanoseconds, 1_000_000_000)
                start = edge + timedelta(seconds=seconds)
                yield {"start_time": f"{start:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z", "model_id": shift}


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Emulator]]:
    """A service of each clock, with three hours of events."""
    with (
        serve(events=60, days=1, end=END, export_mode="sync", clock="ms") as milliseconds,
        serve(events=60, days=1, end=END, export_mode="sync", clock="us") as microseconds,
        serve(events=60, days=1, end=END, export_mode="sync", clock="ns") as nanoseconds,
    ):
        result = {"ms": milliseconds, "us": microseconds, "ns": nanoseconds}
        for clock, service in result.items():
            service.insert(list(planted(clock, HOURS[-3:])))
            service.insert([{"start_time": (hour.start + HALF).isoformat()} for hour in HOURS[-3:]])
        yield result


def spans_of(service: Emulator, window: Window) -> set[str]:
    """The ids of the window's events, computed by the database itself."""
    start, end = (f"TIMESTAMP '{edge:%Y-%m-%d %H:%M:%S.%f}'" for edge in (window.start, window.end))
    rows = service.truth(
        f"SELECT span_id FROM events WHERE start_time >= {start} AND start_time < {end}"
    )
    return {row["span_id"] for row in rows}


def figures_of(service: Emulator, window: Window) -> dict[str, object]:
    """What FIGURES measures, computed by the database itself."""
    start, end = (f"TIMESTAMP '{edge:%Y-%m-%d %H:%M:%S}'" for edge in (window.start, window.end))
    [row] = service.truth(
        "SELECT count(*) FILTER (is_run) AS runs_sum, max(latency) FILTER (is_run) AS latency_max, "
        "quantile_cont(latency, 0.95) FILTER (is_run) AS latency_p95 FROM events "
        f"WHERE start_time >= {start} AND start_time < {end}"
    )
    return row


@dataclass(frozen=True)
class Truth:
    """What windows hold, computed by the database: asked once for all switches, which change nothing in it."""

    figures: dict[Window, dict[str, object]]
    spans: dict[Window, set[str]]

    @classmethod
    def of(cls, service: Emulator, windows: list[Window]) -> Truth:
        return cls(
            {window: figures_of(service, window) for window in windows},
            {window: spans_of(service, window) for window in windows},
        )


@pytest.fixture(scope="module")
def truths(services) -> dict[str, Truth]:
    """What the last three hours of each service hold."""
    return {clock: Truth.of(service, HOURS[-3:]) for clock, service in services.items()}


def check(service: Emulator, truth: Truth, folder, rows_of: list[Window]) -> None:
    """Compare figures and counts with the truth, window by window, and the rows of some."""
    windows = list(truth.figures)
    with Client(service.api_key, service.base_url) as client:
        query = client.query()
        for window in windows:
            [measured] = extract.aggregate(query, window, FIGURES).to_pylist()
            assert measured.pop("bucket_start") == window.start
            assert measured == pytest.approx(truth.figures[window])
            models = extract.aggregate(query, window, BY_MODEL)
            assert sum(models["runs_sum"].to_pylist()) == truth.figures[window]["runs_sum"]
            assert window.bound(query).count()["count"] == len(truth.spans[window])
        whole = Window(windows[0].start, windows[-1].end)
        hours = extract.aggregate(query, whole, BY_HOUR).to_pylist()
        assert {row["bucket_start"]: row["runs_sum"] for row in hours} == {
            window.start: truth.figures[window]["runs_sum"] for window in windows
        }
        for window in rows_of:
            expected = truth.spans[window]
            batches = extract.events(query, window, page_size=400)
            result = [span for batch in batches for span in batch.column("span_id").to_pylist()]
            assert sorted(result) == sorted(expected)
            rows = window.bound(query).iter_rows([EventField.EVENT_ID])
            assert sorted(row["values"]["event_id"] for row in rows) == sorted(expected)
            assert exported_ids(client, window, folder) == expected


@pytest.mark.parametrize(("precision", "mode"), SERVICES)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_window_holds_its_own_events(services, truths, clock, precision, mode, tmp_path):
    """Figures, counts, pages, rows and files of neighbouring hours are those of the database."""
    service = services[clock]
    service.settings(bound_precision=precision, bounds=mode)
    check(service, truths[clock], tmp_path, HOURS[-2:-1])


@pytest.mark.parametrize(("precision", "mode"), SERVICES)
def test_the_events_of_alternatives(services, precision, mode):
    """A page of an OR takes no conditions on time beside it; what it brings of other windows is left out."""
    service = services["us"]
    service.settings(bound_precision=precision, bounds=mode)
    either = (
        FieldFilter.eq(EventField.STATUS, "success"),
        FieldFilter.matches(EventField.ERROR_MESSAGE, "."),
    )
    with Client(service.api_key, service.base_url) as client:
        query = client.query().where(*either, logical_op="OR")
        batches = list(extract.events(query, HOURS[-2], page_size=40))
    result = [span for batch in batches for span in batch.column("span_id").to_pylist()]
    chosen = service.truth(
        "SELECT span_id FROM events WHERE lower(status) = 'success' OR error_message <> ''"
    )
    expected = spans_of(service, HOURS[-2]) & {row["span_id"] for row in chosen}
    assert len(expected) > 5
    assert sorted(result) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize("clock", LONG_CLOCKS)
def test_two_days_of_hours_are_right(clock, tmp_path):
    """46 hours of 40,000 events with more on their edges, under every precision and strictness."""
    with serve(events=40_000, days=2, end=END, export_mode="sync", clock=clock) as service:
        service.insert(list(planted(clock, HOURS)))
        truth = Truth.of(service, HOURS)
        for precision, mode in SERVICES:
            service.settings(bound_precision=precision, bounds=mode)
            check(service, truth, tmp_path, HOURS if (mode, clock) == ("closed", "us") else [])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["us", "ms"])
def test_a_window_within_a_second(services, precision, mode, tmp_path):
    """Ends finer than a second are exact where the service compares milliseconds."""
    service = services["us"]
    service.settings(bound_precision=precision, bounds=mode)
    edge = HOURS[-2].start
    window = Window(edge - timedelta(milliseconds=1), edge + timedelta(milliseconds=1))
    with Client(service.api_key, service.base_url) as client:
        expected = spans_of(service, window)
        assert len(expected) > 3
        assert exported_ids(client, window, tmp_path) == expected
        [batch] = extract.events(client.query(), window)
        assert set(batch.column("span_id").to_pylist()) == expected


def test_a_window_that_the_service_cannot_compare_is_refused(services):
    """Where whole seconds are compared, an end within a second is refused before anything is taken."""
    service = services["ms"]
    service.settings(bound_precision="s", bounds="half-open")
    window = Window(HOURS[-1].start, HOURS[-1].end - timedelta(milliseconds=1))
    with Client(service.api_key, service.base_url) as client:
        query = client.query()
        for ask in (
            lambda: list(extract.events(query, window)),
            lambda: extract.aggregate(query, window, FIGURES),
            lambda: submit(client, ExportRequest(query.to_dict(), window)),
        ):
            with pytest.raises(WindowError, match="whole seconds"):
                ask()


@pytest.mark.parametrize("mode", MODES)
def test_a_finer_event_than_those_that_were_seen(services, mode):
    """A client that saw whole milliseconds alone is right about an event between two of them all the same."""
    service = services["us"]
    service.settings(bound_precision="us", bounds=mode)
    seen, later = (Window(START + number * HOUR, START + (number + 1) * HOUR) for number in (0, 1))
    service.insert(
        [{"start_time": (seen.start + HALF).isoformat(), "object_id": "pl_fine"}]
        + [
            {"start_time": (edge - 300 * MICROSECOND).isoformat(), "object_id": "pl_fine"}
            for edge in (later.start + HOUR / 2, later.end)
        ]
    )
    with Client(service.api_key, service.base_url) as client:
        query = client.query(object_ids=["pl_fine"])
        result = [
            extract.aggregate(query, window, RUNS)["runs_sum"][0].as_py()
            for window in (seen, *later.split(HOUR / 2))
        ]
    runs = service.truth("SELECT count(*) AS n FROM events WHERE object_id = 'pl_fine'")[0]["n"]
    assert result == [runs // 3] * 3


@pytest.fixture
def coarse(services) -> Iterator[Emulator]:
    """A service that takes an event on an upper edge as well, and cuts bounds to seconds."""
    service = services["ms"]
    service.settings(bound_precision="s", bounds="closed")
    yield service
    service.settings(labels="rfc3339", zone="UTC")


def test_an_ambiguous_edge_is_refused(coarse):
    """Two hours are not a bucket of time: with an event on their end, no figure of them is exact."""
    window = Window(HOURS[-3].start, HOURS[-2].end)
    with (
        Client(coarse.api_key, coarse.base_url) as client,
        pytest.raises(WindowError, match="very edge"),
    ):
        extract.aggregate(client.query(), window, FIGURES)


@pytest.mark.parametrize("labels", ["space", "date"])
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_labels_without_an_offset_are_placed(services, labels, interval):
    """Where the service cuts time in UTC its labels are taken for that; in another zone they are refused."""
    service = services["ms"]
    service.settings(bound_precision="us", bounds="closed", labels=labels)
    spec = AggregationSpec(["runs.sum"], ["time"], interval)
    window = Window(END - timedelta(days=1), END)
    try:
        with Client(service.api_key, service.base_url) as client:
            rows = extract.aggregate(client.query(), window, spec).to_pylist()
            runs = figures_of(service, window)["runs_sum"]
            assert sum(row["runs_sum"] for row in rows) == runs
            for zone in ("Africa/Lagos", "America/New_York", "Asia/Kolkata"):
                service.settings(zone=zone)
                with pytest.raises(AggregationShapeError, match="another zone"):
                    extract.aggregate(client.query(), window, spec)
    finally:
        service.settings(labels="rfc3339", zone="UTC")


@pytest.mark.parametrize("labels", ["rfc3339", "space"])
def test_a_bucket_of_another_zone_is_refused(coarse, labels):
    """An hour that begins at half past holds other events than the window; in UTC it is right."""
    coarse.settings(labels=labels)
    with Client(coarse.api_key, coarse.base_url) as client:
        [measured] = extract.aggregate(client.query(), HOURS[-2], FIGURES).to_pylist()
        assert measured["runs_sum"] == figures_of(coarse, HOURS[-2])["runs_sum"]
        coarse.settings(zone="Asia/Kolkata")
        with pytest.raises(AggregationShapeError, match="another zone"):
            extract.aggregate(client.query(), HOURS[-2], FIGURES)


def test_a_query_with_a_time_of_its_own_is_refused(coarse):
    """Its bounds would be sent in the place of those that were tried."""
    with Client(coarse.api_key, coarse.base_url) as client:
        query = client.query().where(FieldFilter.gte(EventField.EVENT_START_TIME, HOURS[0].start))
        with pytest.raises(SpecError, match="leave time"):
            extract.aggregate(query, HOURS[-2], FIGURES)


@pytest.mark.anyio
async def test_awaiting_gives_the_same(coarse):
    """The awaiting twin probes, counts and slices like the blocking one."""
    async with Client(coarse.api_key, coarse.base_url) as client:
        for window in HOURS[-3:]:
            for query in (client.query(), client.aquery()):
                [measured] = await extract.afigures(query, window, FIGURES)
                assert measured["runs_sum"] == figures_of(coarse, window)["runs_sum"]


def test_what_it_costs(services):
    """Rows ask nothing more; figures one page and three counts once, or a count for each window."""
    service = services["ms"]
    spent = {}
    for precision in PRECISIONS:
        service.settings(bound_precision=precision, bounds="half-open")
        with Client(service.api_key, service.base_url) as client:
            service.reset_counters()
            assert HOURS[-2].bound(client.query()).count()["count"] > 0
            assert service.counters()["requests"] == {"count": 1}
            between = Window(
                HOURS[-2].start + timedelta(minutes=1), HOURS[-2].end - timedelta(minutes=1)
            )
            spent[precision] = []
            for _ in range(2):
                service.reset_counters()
                extract.aggregate(client.query(), between, FIGURES)
                spent[precision].append(service.counters()["requests"])
    once = {"aggregations": 1}
    watched = {"aggregations": 1, "count": 1}
    assert spent == {
        "us": [once | {"search": 1, "count": 3}, once],
        "ms": [once | {"search": 1, "count": 5}, watched],
        "s": [once | {"search": 1, "count": 2}, watched],
    }
