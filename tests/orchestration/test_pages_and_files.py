"""A page of events and an exported file take the same numbers and times, refuse the same, and give the same table."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from tests.orchestration.rows import event, write_csv, write_json, write_xlsx
from tests.sdk.scripted import serving
from vectorshift import Client
from vectorshift.errors import InvalidResponseError
from vectorshift_orchestration.errors import EventShapeError, ExportFileError
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.tables import event_batch

WRITERS = {"CSV": write_csv, "JSON": write_json, "XLSX": write_xlsx}
REFUSALS = (InvalidResponseError, EventShapeError, ExportFileError)


@pytest.fixture(scope="module")
def service():
    """A service that answers whatever a test says."""
    with serving({}) as service:
        yield service


@pytest.fixture
def client(service):
    """Its client."""
    with Client("sk_test_key", service.base_url) as client:
        yield client


@pytest.fixture(params=["page", *WRITERS])
def read(request, client, service, tmp_path):
    """The one row of an event, or the refusal, as it comes by a page or by a file."""

    def page(row):
        service.begin({"status": "success", "events": [row]})
        return event_batch(list(client.query().iter_events(expected=1)))

    def file(row):
        schema, batches = read_export(
            WRITERS[request.param](tmp_path / "file", [row]), request.param
        )
        return pa.Table.from_batches(batches, schema)

    def call(**cells):
        try:
            return (page if request.param == "page" else file)(event(0) | cells).to_pylist()[0]
        except REFUSALS as refusal:
            return refusal

    return call


@pytest.mark.parametrize("name", ["latency", "node_latency"])
@pytest.mark.parametrize(
    "told",
    ["NaN", "nan", "Infinity", "-Infinity", "1_000", "1,000", " 5", "0x10", "٣", "1e999", "true"],
)
def test_what_is_not_a_finite_number_is_refused(read, name, told):
    """Words, groups of digits, blanks, other digits, and what a double cannot hold are not numbers."""
    assert isinstance(read(**{name: told}), REFUSALS)


def test_a_bool_is_not_a_number(read):
    """true is not 1."""
    assert isinstance(read(latency=True), REFUSALS)


@pytest.mark.parametrize(
    ("told", "number"),
    [("12", 12.0), ("-0", 0.0), ("1e+06", 1e6), ("+5", 5.0), (".5", 0.5), ("007", 7.0), ("", None)],
)
def test_a_number_may_come_as_text(read, told, number):
    """proto-JSON writes 64-bit integers so; empty text is not a value."""
    assert read(latency=told)["latency"] == number


@pytest.mark.parametrize("name", ["span_start_time", "span_end_time"])
@pytest.mark.parametrize(
    ("told", "microsecond"),
    [
        ("2026-11-22T00:00:00Z", 0),
        ("2026-11-22T00:00:00.25Z", 250_000),
        ("2026-11-22T00:00:00.250000000Z", 250_000),
        ("2026-11-22T00:00:00.1234567Z", 123_456),
        ("2026-11-22T00:00:00.123456789Z", 123_456),
        ("2026-11-22T00:00:00.999999999Z", 999_999),
        ("2026-11-22t00:00:00.25z", 250_000),
        ("2026-11-22T05:30:00.250000001+05:30", 250_000),
        ("2026-11-22 00:00:00.25Z", 250_000),
    ],
)
def test_a_time_has_any_number_of_digits(read, name, told, microsecond):
    """Nine digits, none, small letters: what is finer than a microsecond is cut off, and no time moves."""
    assert read(**{name: told})[name] == datetime(2026, 11, 22, 0, 0, 0, microsecond, UTC)


@pytest.mark.parametrize(
    "told",
    ["soon", "2026-11-22", "2026-11-22T00:00:00", "2026-02-30T00:00:00Z", "2026-11-22T25:00:00Z"],
)
@pytest.mark.parametrize("name", ["span_start_time", "span_end_time"])
def test_what_is_not_a_time_is_refused(read, name, told):
    """A word, a day, a time without its offset and a day that does not exist are not instants."""
    assert isinstance(read(**{name: told}), REFUSALS)


@pytest.mark.parametrize(
    "zero",
    [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T01:00:00+01:00",
        "1969-12-31T19:00:00-05:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:53:28+00:53",
        None,
        "",
    ],
)
def test_the_end_of_what_has_not_ended_is_null(read, zero):
    """The zero time of a database or of a language, in any zone, is not an end."""
    assert read(span_end_time=zero, status="in_progress")["span_end_time"] is None


def test_an_end_before_the_start_stays(read):
    """Clocks differ: only the zero times stand for none."""
    reported = "2026-11-21T23:59:59.999Z"
    assert read(span_end_time=reported)["span_end_time"] == datetime.fromisoformat(reported)


def test_the_page_keeps_the_text_of_a_time(client, service):
    """Digits and offset stay as they came, in letters that Python reads."""
    reported = "2026-11-22t05:30:00.123456789+05:30"
    service.begin({"status": "success", "event": {"startTime": reported}})
    result = client.event("sp_1")["span_start_time"]
    assert result == reported.upper()
    assert datetime.fromisoformat(result) == datetime(2026, 11, 22, 0, 0, 0, 123_456, UTC)
