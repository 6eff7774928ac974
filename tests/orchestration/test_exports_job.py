"""The export job goes on from any recorded state, asks again within limits, and counts it."""

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from importlib import import_module

import pyarrow.parquet as pq
import pytest

from tests.days import LAST_MIDNIGHT, MIDNIGHT
from vectorshift import Client
from vectorshift._retry import Retry
from vectorshift.analytics import Query
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    ApiConnectionError,
    AuthenticationError,
)
from vectorshift_orchestration import spills
from vectorshift_orchestration.errors import (
    ExportFormatError,
    ExportStateError,
    PublishError,
    SchemaMismatch,
    StaleWriterError,
    StorageError,
)
from vectorshift_orchestration.exports import (
    ExportOptions,
    ExportRequest,
    ExportState,
    resume,
)
from vectorshift_orchestration.landing import MOST_OVERTAKEN, Landing
from vectorshift_orchestration.storage.duckdb_file import duckdb_file
from vectorshift_orchestration.storage.sql import overwrite_window
from vectorshift_orchestration.tables import EVENT_SCHEMA, EVENT_TIME
from vectorshift_orchestration.windows import Window

DAY = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)


@pytest.fixture
def emulator(vectorshift_emulator):
    vectorshift_emulator.settings(export_mode="async", export_delay=0)
    vectorshift_emulator.reset_counters()
    return vectorshift_emulator


@pytest.fixture
def client(emulator):
    retry = Retry(attempts=2, first_wait=0)
    with Client(api_key=emulator.api_key, base_url=emulator.base_url, retry=retry) as opened:
        yield opened


@pytest.fixture
def request_of_day(client):
    return ExportRequest(client.query().to_dict(), DAY)


class Records(list):
    """A record that keeps every state it was given, as JSON text."""

    def __init__(self, state=None):
        super().__init__()
        self.before = state
        self.discarded = 0

    def read(self):
        return self.before

    def write(self, state):
        self.append(json.dumps(state.to_json()))

    def discard(self):
        self.discarded += 1

    def state(self, place=-1):
        return ExportState.from_json(json.loads(self[place]))

    @property
    def states(self):
        return [json.loads(text)["state"] for text in self]


def landing_of(folder, **options):
    options.setdefault("destination", folder / "published" / "events.csv")
    connection = options.pop("connection", None)
    if connection is not None:
        options["connect"] = lambda: nullcontext(connection)
    return Landing(**options)


def run(client, request, folder, records, state=None, progress=None, **options):
    names = ("destination", "table", "connection", "connect", "parquet", "reconnect")
    landing = landing_of(folder, **{name: options.pop(name) for name in names if name in options})
    options.setdefault("poll_interval", 0.01)
    options.setdefault("timeout", 20)
    records.before = state
    return resume(
        client,
        request,
        landing,
        records,
        directory=folder / "work",
        options=ExportOptions(**options),
        progress=progress,
    )


def truth(emulator, window=DAY):
    rows = emulator.truth(
        f"SELECT span_id FROM events WHERE start_time >= '{window.start:%F %T}' "
        f"AND start_time < '{window.end:%F %T}'"
    )
    return sorted(row["span_id"] for row in rows)


def rows_in(connection, table="events"):
    return [
        row[0] for row in connection.execute(f"SELECT span_id FROM {table} ORDER BY 1").fetchall()
    ]


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_a_file_is_parsed_once_for_its_checks_and_for_all_that_it_fills(
    client, request_of_day, connection, tmp_path, monkeypatch, format
):
    """A table and a Parquet file are written from the rows that were checked; nothing stays beside them."""
    reader = import_module(f"vectorshift_orchestration.formats.{format.lower()}")
    opened, parse = [], reader.open_text
    monkeypatch.setattr(
        reader, "open_text", lambda path, *more: (opened.append(path), parse(path, *more))[1]
    )
    request, target = replace(request_of_day, format=format), tmp_path / "events.parquet"
    done = run(
        client, request, tmp_path, Records(),
        destination=target, table="events", connection=connection, parquet=True,
    )  # fmt: skip
    assert len(opened) == 1
    assert len(rows_in(connection)) == done.rows == pq.read_metadata(target).num_rows > 0
    assert list((tmp_path / "work").iterdir()) == []


def test_a_disk_that_has_no_room_for_the_rows_refuses_them(
    client, request_of_day, connection, tmp_path, monkeypatch
):
    """The table stays as it is, no file is left, and the words say what to do."""

    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spills, "TemporaryFile", full)
    with pytest.raises(PublishError, match=r"No space left.* make room"):
        run(client, request_of_day, tmp_path, Records(), table="events", connection=connection)
    assert list((tmp_path / "work").iterdir()) == []


def test_the_states_are_saved_in_order(emulator, client, connection, request_of_day, tmp_path):
    """Every step is recorded before the next one, in records that hold no URL."""
    records, seen = Records(), []
    done = run(
        client,
        request_of_day,
        tmp_path,
        records,
        table="events",
        connection=connection,
        progress=lambda what, figure: seen.append((what, figure)),
    )
    assert records.states == ["intent", "created", "ready", "staged", "published", "committed"]
    assert not any("http" in text or "signature" in text for text in records)
    assert rows_in(connection) == truth(emulator)
    assert (done.rows, done.recreated, done.verified) == (len(truth(emulator)), 0, "checksum")
    assert list((tmp_path / "work").iterdir()) == []
    last = dict(seen)
    assert last.keys() == {"looks", "bytes", "checked", "copied", "loaded"}
    assert (last["bytes"], last["copied"]) == (done.bytes, done.bytes)
    assert (last["checked"], last["loaded"]) == (done.rows, done.rows)


class Dying(Records):
    """A process that dies right after it saved one state, or right before."""

    def __init__(self, after="", before=""):
        super().__init__()
        self._after, self._before = after, before

    def write(self, state):
        if state.state == self._before:
            raise KeyboardInterrupt
        super().write(state)
        if state.state == self._after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("same_folder", [True, False])
@pytest.mark.parametrize("died", ["intent", "created", "ready", "staged", "published", "committed"])
def test_it_goes_on_from_every_state(
    emulator, client, connection, request_of_day, tmp_path, died, same_folder
):
    """From the record alone, with the working folder or on another machine: all rows, once."""
    target = {
        "table": "events",
        "connection": connection,
        "destination": tmp_path / "published" / "events.csv",
    }
    records = Dying(after=died)
    with pytest.raises(KeyboardInterrupt):
        run(client, request_of_day, tmp_path, records, **target)
    emulator.reset_counters()
    folder = tmp_path if same_folder else tmp_path / "elsewhere"
    done = run(client, request_of_day, folder, Records(), records.state(), **target)
    counters = emulator.counters()
    staged_is_here = same_folder and died in ("staged", "published")
    assert counters["exports_created"] == done.recreated == (died == "intent")
    assert counters["downloads"] == (died != "committed" and not staged_is_here)
    assert (done.rows, rows_in(connection)) == (len(truth(emulator)), truth(emulator))
    assert (tmp_path / "published" / "events.csv").stat().st_size == done.bytes
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["events.csv"]


def test_a_file_alone_needs_no_ledger(emulator, client, request_of_day, tmp_path):
    """Without a table, a staged file is used again, and a published one is all there is."""
    records = Records()
    first = run(client, request_of_day, tmp_path, records)
    assert records.states == ["intent", "created", "ready", "staged", "published", "committed"]
    staged, published = records.state(3), records.state(4)
    (tmp_path / "work" / request_of_day.file_name).write_bytes(
        (tmp_path / "published" / "events.csv").read_bytes()
    )
    emulator.reset_counters()
    assert run(client, request_of_day, tmp_path, Records(), staged).uri == first.uri
    assert run(client, request_of_day, tmp_path, Records(), published).uri == first.uri
    assert emulator.counters()["downloads"] == 0
    (tmp_path / "work" / request_of_day.file_name).write_bytes(b"changed")
    run(client, request_of_day, tmp_path, Records(), staged)
    assert emulator.counters()["downloads"] == 1


def test_a_commit_that_was_not_recorded_is_found_in_the_ledger(
    emulator, client, connection, request_of_day, tmp_path
):
    """The process dies between COMMIT and its record: nothing is downloaded or written again."""
    records = Dying(before="committed")
    target = {"table": "events", "connection": connection}
    with pytest.raises(KeyboardInterrupt):
        run(client, request_of_day, tmp_path, records, **target)
    assert records.states[-1] == "published"
    emulator.reset_counters()
    after = Records()
    done = run(client, request_of_day, tmp_path, after, records.state(), **target)
    assert after.states == ["committed"]
    assert sum(emulator.counters()["requests"].values()) == 0
    assert (done.rows, rows_in(connection)) == (len(truth(emulator)), truth(emulator))


class Overtaken(Records):
    """While the job is between its file and its table, somebody else writes the window."""

    def __init__(self, connection, times):
        super().__init__()
        self._connection, self._left = connection, times

    def write(self, state):
        super().write(state)
        if state.state == "staged" and self._left:
            self._left -= 1
            overwrite_window(
                self._connection, "events", DAY, [], schema=EVENT_SCHEMA, time_column=EVENT_TIME
            )


def test_a_job_that_was_overtaken_brings_newer_rows(
    emulator, client, connection, request_of_day, tmp_path
):
    """A neighbour that began and ended meanwhile costs another export, and its rows are replaced."""
    target = {"table": "events", "connection": connection}
    records = Overtaken(connection, times=2)
    run(client, request_of_day, tmp_path, records, **target)
    assert emulator.counters()["exports_created"] == 3
    assert rows_in(connection) == truth(emulator)
    assert (tmp_path / "published" / "events.csv").exists()


def test_a_job_that_is_always_overtaken_gives_way(client, connection, request_of_day, tmp_path):
    """After so many times it is a stale writer for good, which changes nothing and leaves no record."""
    target = {"table": "events", "connection": connection}
    records = Overtaken(connection, times=MOST_OVERTAKEN + 1)
    with pytest.raises(StaleWriterError):
        run(client, request_of_day, tmp_path, records, **target)
    assert rows_in(connection) == []
    assert not (tmp_path / "published").exists()
    assert records.discarded == 1


# --- records that are not gone on with ------------------------------------------------


def test_an_old_file_is_not_landed(emulator, client, connection, request_of_day, tmp_path):
    """A record whose time is up belongs to another day: what lands is exported anew."""
    records = Dying(after="staged")
    target = {"table": "events", "connection": connection}
    with pytest.raises(KeyboardInterrupt):
        run(client, request_of_day, tmp_path, records, **target)
    old = records.state()
    emulator.burst(1, at=DAY.start + timedelta(hours=2))
    emulator.reset_counters()
    late = replace(old, deadline=time.time() - 1)
    run(client, request_of_day, tmp_path, Records(), late, **target)
    assert emulator.counters()["exports_created"] == 1
    assert rows_in(connection) == truth(emulator)


@pytest.mark.parametrize(
    ("create", "error"),
    [
        ("CREATE TABLE events (span_id INTEGER, span_start_time TIMESTAMPTZ)", SchemaMismatch),
        (None, AnalyticsExportFailed),
    ],
)
def test_a_try_that_failed_for_good_leaves_no_record(
    emulator, client, connection, request_of_day, tmp_path, create, error
):
    """Somebody has to change something, or the export is of no more use: nothing to go on with."""
    if create:
        connection.execute(create)
    else:
        emulator.fault("export_poll", "task_failed", times=0, body="no memory")
    records = Records()
    with pytest.raises(error):
        run(client, request_of_day, tmp_path, records, table="events", connection=connection)
    assert records.discarded == 1


def test_a_try_that_may_go_on_keeps_its_record(emulator, client, request_of_day, tmp_path):
    """A database that is away for a while costs no other export, and no longer time to wait."""

    @contextmanager
    def away():
        raise StorageError("The database cannot be reached.")
        yield

    records = Dying(after="staged")
    with pytest.raises(KeyboardInterrupt):
        run(client, request_of_day, tmp_path, records, timeout=50)
    staged, again = records.state(), Records()
    with pytest.raises(StorageError):
        run(client, request_of_day, tmp_path, again, staged, table="events", connect=away)
    assert again.discarded == 0
    assert staged.deadline == pytest.approx(time.time() + 50, abs=40)


def test_an_export_whose_time_is_up_leaves_no_record(emulator, client, request_of_day, tmp_path):
    """The next try asks for a new one, which then has the whole time."""
    emulator.settings(export_mode="async", export_delay=60)
    records = Records()
    with pytest.raises(AnalyticsExportTimeout):
        run(client, request_of_day, tmp_path, records, timeout=0.2)
    assert records.discarded == 1


# --- asking again ---------------------------------------------------------------------


def test_an_answer_that_was_lost_costs_one_more_export(
    emulator, client, connection, request_of_day, tmp_path
):
    """The service acts and the answer does not arrive: asked twice, counted once, no row twice."""
    emulator.fault("export_create", "reset", fraction=0)
    done = run(client, request_of_day, tmp_path, Records(), table="events", connection=connection)
    assert (done.recreated, emulator.counters()["exports_created"]) == (1, 2)
    assert rows_in(connection) == truth(emulator)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("export_poll", {"kind": "task_failed", "body": "no memory"}),
        ("export_poll", {"kind": "status", "code": 404}),
        ("export_create", {"kind": "task_failed", "body": "no memory"}),
        ("export_create", {"kind": "html_200"}),
        ("download", {"kind": "truncate", "fraction": 0.5, "framing": "close"}),
        ("download", {"kind": "html_200"}),
    ],
)
def test_an_unusable_export_is_requested_again(
    emulator, client, request_of_day, tmp_path, fault, options
):
    """Failed, not found, no answer, cut, or another file: one re-create, and it is counted."""
    emulator.fault(fault, **options)
    done = run(client, request_of_day, tmp_path, Records())
    assert emulator.faults()[0]["injected"] == 1
    assert done.recreated == 1
    assert done.rows == len(truth(emulator))
    assert (tmp_path / "published" / "events.csv").stat().st_size == done.bytes


@pytest.mark.parametrize("switches", [{"json_empty": "null"}, {"json_form": "ndjson"}], ids=str)
def test_a_window_without_events_lands_as_json(emulator, client, tmp_path, switches):
    """The null of a Go service and the file of no bytes of JSON lines: no rows, at the first try."""
    emulator.settings(**switches)
    window = Window(DAY.start - timedelta(days=900), DAY.start - timedelta(days=899))
    request = ExportRequest(client.query().to_dict(), window, "JSON")
    done = run(client, request, tmp_path, Records())
    assert (done.rows, done.recreated) == (0, 0)


@pytest.mark.parametrize(
    ("reason", "events"),
    [
        ("row number exceeds maximum limit", None),
        ("XLSX: at most 1,048,576 rows", None),
        ("cell value must be 0-32767 characters", None),
        ("internal error", 1_048_576),
    ],
)
def test_what_a_worksheet_cannot_hold_is_not_requested_again(
    emulator, client, request_of_day, tmp_path, monkeypatch, reason, events
):
    """By the reason that the service gives, or else by the window's count: one export, and advice."""
    emulator.fault("export_poll", "task_failed", times=0, body=reason)
    if events is not None:
        monkeypatch.setattr(Query, "count", lambda query: {"count": events})
    records = Records()
    request = replace(request_of_day, format="XLSX")
    with pytest.raises(ExportFormatError, match="Export as CSV or JSON, or in shorter windows"):
        run(client, request, tmp_path, records)
    assert emulator.counters()["exports_created"] == 1
    assert records.discarded == 1


@pytest.mark.parametrize("format", ["CSV", "XLSX"])
def test_a_failure_of_another_kind_is_requested_again(
    emulator, client, request_of_day, tmp_path, format
):
    """A small window fits in any sheet, and other formats have no limits to name."""
    reason = "no memory" if format == "XLSX" else "maximum limit of 1048576 reached"
    emulator.fault("export_poll", "task_failed", body=reason)
    done = run(client, replace(request_of_day, format=format), tmp_path, Records())
    assert (done.recreated, done.rows) == (1, len(truth(emulator)))


def test_two_re_creates_are_the_most(emulator, client, request_of_day, tmp_path):
    """A task that always fails is requested three times in all, over any number of tries."""
    emulator.fault("export_poll", "task_failed", times=0, body="no memory")
    records = Records()
    with pytest.raises(AnalyticsExportFailed, match="no memory"):
        run(client, request_of_day, tmp_path, records)
    assert records.state().recreated == 2
    with pytest.raises(AnalyticsExportFailed):
        run(client, request_of_day, tmp_path, Records(), records.state())
    assert emulator.counters()["exports_created"] == 3
    assert not (tmp_path / "published").exists()


def test_a_url_that_always_expires_ends_with_an_error(emulator, client, request_of_day, tmp_path):
    """Three fresh URLs for each of three exports, then `AnalyticsDownloadFailed`, and no file."""
    emulator.fault("download", "expired", times=0)
    with pytest.raises(AnalyticsDownloadFailed):
        run(client, request_of_day, tmp_path, Records())
    counters = emulator.counters()
    assert (counters["exports_created"], counters["downloads"]) == (3, 12)
    assert list(tmp_path.rglob("*.csv")) == []


def test_a_url_that_expired_once_is_renewed(emulator, client, request_of_day, tmp_path):
    """An expired URL takes a fresh one of the same export."""
    emulator.fault("download", "expired", times=3)
    done = run(client, request_of_day, tmp_path, Records())
    assert (done.recreated, emulator.counters()["exports_created"]) == (0, 1)


def test_asking_that_did_no_harm_is_not_counted(emulator, request_of_day, client, tmp_path):
    """A refused key and a closed port leave the record as if nobody had asked."""
    emulator.fault("export_create", "status", code=401)
    records = Records()
    with pytest.raises(AuthenticationError):
        run(client, request_of_day, tmp_path, records)
    assert (records.state().state, records.state().asked) == ("intent", 0)
    retry = Retry(attempts=1)
    with (
        Client(api_key="sk_x", base_url="http://127.0.0.1:1/v1", retry=retry) as nobody,
        pytest.raises(ApiConnectionError),
    ):
        run(nobody, request_of_day, tmp_path, records, records.state(), late_arrival=timedelta(0))
    assert records.state().asked == 0
    assert run(client, request_of_day, tmp_path, records, records.state()).recreated == 0


# --- what a poll may tell -----------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "never_ready"},
        {"kind": "ready_without_url"},
        {"kind": "status", "code": 200, "body": '{"status":"success","task_status":"paused"}'},
        {"kind": "status", "code": 200, "body": '{"status":"success","task_status":"READY"}'},
    ],
)
def test_any_state_but_failed_is_polled_again(emulator, client, request_of_day, tmp_path, options):
    """Pending after ready, ready without a URL, and states that nobody knows are waited out."""
    records = Records()
    run(client, request_of_day, tmp_path, records)
    ready = records.state(2)
    assert ready.state == "ready"
    emulator.fault("export_poll", times=2, **options)
    emulator.reset_counters()
    done = run(client, request_of_day, tmp_path, Records(), ready)
    assert (done.recreated, emulator.counters()["polls"]) == (0, 3)
    emulator.fault("export_poll", times=0, **options)
    soon = replace(ready, deadline=time.time() + 0.1)
    with pytest.raises(AnalyticsExportTimeout):
        run(client, request_of_day, tmp_path, Records(), soon)


def test_a_service_without_polls_is_used_as_it_is(emulator, client, request_of_day, tmp_path):
    """The create reply has the URL; resuming there, where polls are 404, costs one re-create."""
    emulator.settings(export_mode="no-poll")
    records = Records()
    assert run(client, request_of_day, tmp_path, records).recreated == 0
    assert emulator.counters()["polls"] == 0
    assert run(client, request_of_day, tmp_path, Records(), records.state(1)).recreated == 1


# --- young windows ----------------------------------------------------------------


def test_events_that_arrive_meanwhile_do_not_fail_a_young_window(
    emulator, client, request_of_day, tmp_path
):
    """Between the counts before and after, a file of a young window is let pass; below, never."""
    window = Window(LAST_MIDNIGHT + timedelta(days=1), LAST_MIDNIGHT + timedelta(days=2))
    request = replace(request_of_day, window=window)
    emulator.burst(5, at=window.start + timedelta(minutes=1))

    class Arriving(Records):
        def write(self, state):
            super().write(state)
            if state.state == "created":
                emulator.burst(3, at=window.start + timedelta(minutes=2))

    emulator.settings(export_mode="sync")
    records = Arriving()
    done = run(client, request, tmp_path, records)
    staged = records.state(3)
    assert (staged.counted_before, done.rows, staged.counted) == (5, 5, 8)
    assert done.recreated == 0
    settled = run(client, request, tmp_path, Records(), late_arrival=timedelta(0))
    assert (settled.rows, settled.recreated) == (8, 0)


# --- records that cannot be used ----------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"state": "done"},
        {"download_url": "x"},
        {"asked": -1},
        {"asked": "3"},
        {"asked": True},
        {"rows": 1.5},
        {"task_id": None},
        {"key": ""},
        {"key": None},
    ],
)
def test_a_record_that_was_changed_is_refused(changes):
    """Unknown keys, states and kinds of values are an error, not a guess."""
    good = ExportState("k", "staged", "ex_1", 1, rows=3).to_json()
    assert ExportState.from_json(good).to_json() == good
    with pytest.raises(ExportStateError):
        ExportState.from_json(good | changes)
    for nothing in (None, [], "x", {}):
        with pytest.raises(ExportStateError):
            ExportState.from_json(nothing)


def test_the_record_of_another_request_is_refused(emulator, client, request_of_day, tmp_path):
    """A record goes with one request; and there must be somewhere to land, before anything else."""
    with pytest.raises(ExportStateError, match="belongs to"):
        run(client, request_of_day, tmp_path, Records(), ExportState("f" * 64))
    with pytest.raises(StorageError, match="nowhere to land"):
        run(client, request_of_day, tmp_path, Records(), destination=None)
    assert sum(emulator.counters()["requests"].values()) == 0


def test_a_connection_is_open_only_while_it_is_needed(emulator, request_of_day, client, tmp_path):
    """A function that opens the database is called to begin and to write, and not for the wait."""
    path, is_open, seen = tmp_path / "w.duckdb", [], []

    @contextmanager
    def opened():
        with duckdb_file(path) as database:
            is_open.append(True)
            yield database
            is_open.pop()

    records = Records()
    landed = run(
        client,
        request_of_day,
        tmp_path,
        records,
        table="events",
        connect=opened,
        progress=lambda what, _: seen.append((what, bool(is_open))),
    )
    assert {what: opened for what, opened in seen} == {
        "looks": False,
        "bytes": False,
        "checked": False,
        "loaded": True,
        "copied": True,
    }
    assert not is_open
    with duckdb_file(path) as database:
        assert rows_in(database) == truth(emulator)
    done = Records()
    again = run(
        client,
        request_of_day,
        tmp_path,
        done,
        records.state(records.states.index("published")),
        table="events",
        connect=opened,
    )
    assert (again.rows, done.states) == (landed.rows, ["committed"])
