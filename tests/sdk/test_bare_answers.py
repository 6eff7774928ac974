"""Answers that leave out what proto-JSON leaves out: zeros are zeros, and nothing found is not found."""

import pytest

from tests.sdk.scripted import in_turn
from vectorshift import AnalyticsNotFound, InvalidResponseError

SUCCESS = {"status": "success"}


@pytest.mark.parametrize("more", [{}, {"count": None}, {"count": 0}, {"count": "0"}], ids=str)
def test_a_count_that_is_left_out_is_zero(scripted, service, more):
    """Where the status says success, no count and null are 0."""
    service.script = in_turn(SUCCESS | more)
    assert scripted.query().count() == {"count": 0}


@pytest.mark.parametrize("told", ["1_000", "NaN", True, 1.5, -1, "٣", [3]], ids=repr)
def test_a_count_is_a_whole_number(scripted, service, told):
    """Anything else is an error that names the field."""
    service.script = in_turn(SUCCESS | {"count": told})
    with pytest.raises(InvalidResponseError, match="count is"):
        scripted.query().count()


@pytest.mark.parametrize("told", [12, "12", 12.0, "1.2e+01"], ids=repr)
def test_a_count_in_any_spelling(scripted, service, told):
    """Text, and a float that is whole, are the number that they mean."""
    service.script = in_turn(SUCCESS | {"count": told})
    assert scripted.query().count() == {"count": 12}


def test_the_records_of_an_empty_table_are_zero(scripted, service):
    """total_records is there when it was requested, unless rows without it would make 0 a lie."""
    service.script = in_turn(SUCCESS)
    query = scripted.query()
    assert query.table(["status"], return_record_count=True)["total_records"] == 0
    assert "total_records" not in query.table(["status"])
    service.script = in_turn(SUCCESS | {"rows": [{"values": {"status": "success"}}]})
    assert "total_records" not in query.table(["status"], return_record_count=True)


@pytest.mark.parametrize("told", ["NaN", "1_000", True, "Infinity"], ids=repr)
def test_a_number_in_a_table_is_a_number(scripted, service, told):
    """A cell obeys the rule of events and files."""
    cell = {"column_label": "latency", "number_value": told}
    service.script = in_turn(SUCCESS | {"rows": [{"cells": [cell]}]})
    with pytest.raises(InvalidResponseError, match="number_value is"):
        scripted.query().table(["latency"])


def test_a_table_reads_the_status_and_times_of_an_event(scripted, service):
    """Upper-case states, zero times and small letters are read as in events."""
    columns = ["status", "event_start_time", "event_end_time"]
    reported = ["FAILURE", "2026-01-01t00:00:00z", "0001-01-01T00:00:00Z"]
    service.script = in_turn(
        SUCCESS | {"rows": [{"values": dict(zip(columns, reported, strict=True))}]}
    )
    [row] = scripted.query().table(columns)["rows"]
    assert list(row["values"].values()) == ["failure", "2026-01-01T00:00:00Z", None]


def test_a_table_time_that_is_none_is_refused(scripted, service):
    """A column of times holds times."""
    service.script = in_turn(SUCCESS | {"rows": [{"values": {"event_start_time": "soon"}}]})
    with pytest.raises(InvalidResponseError, match="event_start_time is 'soon'"):
        scripted.query().table(["event_start_time"])


@pytest.mark.parametrize("more", [{}, {"events": []}, {"trace_id": "tr_1", "events": []}], ids=str)
def test_a_trace_without_events_is_not_found(scripted, service, more):
    """An unknown id may be answered with success and nothing."""
    service.script = in_turn(SUCCESS | more)
    with pytest.raises(AnalyticsNotFound, match="trace tr_1 not found"):
        scripted.trace("tr_1")


def test_a_trace_may_be_narrowed_to_nothing(scripted, service):
    """A trace that is there, and has no event of that kind, is empty."""
    service.script = in_turn(SUCCESS | {"trace_id": "tr_1"})
    assert scripted.trace("tr_1", kinds=["form.run"]) == {"trace_id": "tr_1", "events": []}
    service.script = in_turn(SUCCESS)
    with pytest.raises(AnalyticsNotFound):
        scripted.trace("tr_1", kinds=["form.run"])


def test_other_look_ups_of_nothing_are_not_found(scripted, service):
    """An event, a run and an export task that the answer says nothing of."""
    service.script = in_turn(SUCCESS)
    for ask in (
        lambda: scripted.event("sp_1"),
        lambda: scripted.run(object_type="form", object_id="fm_1", run_id="r_1"),
        lambda: scripted.export_task("ex_1"),
    ):
        with pytest.raises(AnalyticsNotFound, match="not found"):
            ask()
