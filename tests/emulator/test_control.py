"""The control surface: rows in, truth out, switches, counters, and the way back."""

import json
from datetime import UTC, datetime

import pytest

from vectorshift_emulator import Control, ControlError, serve


def test_insert_completes_rows(blank):
    """A row without anything is a successful pipeline run of now, with ids of its own."""
    before = datetime.now(UTC)
    (span,) = blank.insert([{}])
    (row,) = blank.truth("SELECT * FROM events")
    assert row["span_id"] == span
    assert (row["span_kind"], row["entity"], row["status"]) == (
        "pipeline.run",
        "pipeline",
        "success",
    )
    assert row["is_run"] is True
    assert abs((datetime.fromisoformat(row["start_time"]) - before).total_seconds()) < 10


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"status": "FAILED"}, "status"),
        ({"span_kind": "robot.run"}, "robot"),
        ({"start_time": "2026-01-01"}, "start_time"),
        ({"start_time": "2026-01-01T00:00:00.0001Z"}, "millisecond"),
        ({"latency": "fast"}, "latency"),
        ({"object_info": []}, "object_info"),
        (5, "object"),
    ],
)
def test_a_bad_row_inserts_none(blank, row, reason):
    """One bad row refuses the whole insertion and says why."""
    with pytest.raises(ControlError, match=reason):
        blank.insert([{}, row])
    assert blank.truth("SELECT count(*) AS n FROM events") == [{"n": 0}]


def test_burst(emulator, client):
    """A burst is runs of one status, a millisecond apart, at the time requested."""
    at = datetime(2031, 5, 1, 12, tzinfo=UTC)
    spans = emulator.burst(3, at=at, error_message="boom")
    events = client.search(start_time="2031-01-01T00:00:00Z")
    assert [event["spanId"] for event in events] == spans[::-1]
    assert {event["status"] for event in events} == {"FAILURE"}
    assert events[0]["startTime"] == "2031-05-01T12:00:00.002Z"
    assert len(set(spans + emulator.burst(3, at=at))) == 6
    with pytest.raises(ControlError, match="count"):
        emulator.burst(0)


def test_truth_only_reads(emulator):
    """Truth takes one SELECT and nothing that could change or break the events."""
    for sql in ("DELETE FROM events", "SELECT 1; SELECT 2", "SELECT nothing FROM nowhere", ""):
        with pytest.raises(ControlError, match="400"):
            emulator.truth(sql)
    assert emulator.truth("SELECT sum(1::BIGINT) AS n, NULL AS nothing, [1] AS l") == [
        {"n": 1, "nothing": None, "l": [1]}
    ]


def test_settings_change_together_or_not_at_all(emulator):
    """An unknown switch or value changes nothing."""
    first = emulator.settings()
    for changes in ({"keys": "snake", "bogus": 1}, {"keys": "snake", "bounds": "ajar"}):
        with pytest.raises(ControlError, match="400"):
            emulator.settings(**changes)
    assert emulator.settings() == first
    assert emulator.settings(keys="snake")["keys"] == "snake"


def test_reset_undoes_everything(emulator, client):
    """After a reset there are the first events, the first settings, no faults, zero counters."""
    total, settings = client.count(), emulator.settings()
    emulator.insert([{}])
    emulator.settings(bounds="open", export_mode="no-poll")
    emulator.fault("count", "status")
    emulator.reset()
    assert client.count() == total
    assert emulator.settings() == settings
    assert emulator.faults() == []
    assert emulator.counters()["requests"] == {"count": 1}


def test_counters(emulator, client):
    """Requests are counted by route, exports, polls and downloaded bytes besides."""
    emulator.reset_counters()
    emulator.settings(export_mode="sync")
    body = {"data_table": {}, "extension": "CSV", "file_name": "a"}
    task = client.ask("/exports", body)
    client.ask(f"/exports/{task['task_id']}")
    path = task["download_url"].removeprefix(client.base_url.removesuffix("/v1"))
    _, _, content = client.raw("GET", path)
    assert emulator.counters() == {
        "requests": {"download": 1, "export_create": 1, "export_poll": 1},
        "exports_created": 1,
        "polls": 1,
        "downloads": 1,
        "download_bytes": len(content),
        "faults_injected": 0,
    }


def test_expire_urls(emulator, client):
    """URLs handed out before are refused, a new poll has a good one."""
    emulator.settings(export_mode="sync")
    body = {"data_table": {}, "extension": "CSV", "file_name": "a"}
    task = client.ask("/exports", body)
    emulator.expire_urls()
    origin = client.base_url.removesuffix("/v1")
    assert client.raw("GET", task["download_url"].removeprefix(origin))[0] == 403
    again = client.ask(f"/exports/{task['task_id']}")
    assert client.raw("GET", again["download_url"].removeprefix(origin))[0] == 200


def test_it_takes_its_own_token(emulator, client):
    """Neither the service's key nor no key at all opens the control surface."""
    with pytest.raises(ControlError, match="401"):
        Control(emulator.control_url, client.api_key).counters()
    status, _, body = client.raw("GET", "/_control/counters", headers={})
    assert (status, list(json.loads(body))) == (401, ["error"])


def test_live_events_arrive():
    """With a live rate events keep coming, stamped with the present."""
    with serve(events=0, live=200) as emulator:
        result = []
        while not result:
            result = emulator.truth(
                "SELECT max(start_time) AS last FROM events HAVING count(*) > 0"
            )
    age = datetime.now(UTC) - datetime.fromisoformat(result[0]["last"])
    assert age.total_seconds() < 10
