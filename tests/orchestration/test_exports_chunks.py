"""One window exported in several chunks: each is an export of its own, and all land as one."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tests.days import MIDNIGHT
from tests.orchestration.test_exports_job import (
    DAY,
    Dying,
    Overtaken,
    Records,
    client,
    emulator,
    request_of_day,
    rows_in,
    run,
    truth,
)
from vectorshift.errors import AnalyticsExportFailed, AnalyticsExportTimeout
from vectorshift_orchestration.errors import ExportStateError, SpecError, WindowError
from vectorshift_orchestration.exports import ExportJob, ExportOptions, ExportState
from vectorshift_orchestration.exports.state import together
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.delta import DeltaLake
from vectorshift_orchestration.storage.sql import committed
from vectorshift_orchestration.windows import Window

__all__ = ["client", "emulator", "request_of_day"]

CHUNKS = 4


def job_of(client, request, landing, records, folder, **options):
    options = {"poll_interval": 0.01, "timeout": 20, "chunks": CHUNKS} | options
    return ExportJob(
        client,
        request,
        landing,
        records,
        directory=folder / "work",
        options=ExportOptions(**options),
    )


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_chunks_land_as_one_window(emulator, client, connection, request_of_day, tmp_path, format):
    """All rows, once; one ledger row, of the whole window; again, with late rows, it is replaced."""
    target = {"table": "events", "connection": connection, "chunks": CHUNKS}
    request = type(request_of_day)(request_of_day.query, DAY, format)
    for late in range(2):
        if late:
            emulator.burst(1, at=DAY.start + timedelta(hours=13))
        emulator.reset_counters()
        counts = {}
        done = run(
            client, request, tmp_path, Records(), progress=counts.__setitem__,
            destination=None, **target,
        )  # fmt: skip
        assert emulator.counters()["exports_created"] == emulator.counters()["downloads"] == CHUNKS
        assert rows_in(connection) == truth(emulator)
        commit = committed(connection, "events", DAY)
        assert (done.rows, commit.rows) == (len(truth(emulator)),) * 2
        assert (commit.sha256, commit.key) == (done.sha256, request.key)
        assert (done.recreated, done.verified, done.window) == (0, "checksum", DAY)
        assert (counts["bytes"], counts["checked"], counts["loaded"]) == (
            done.bytes, done.rows, done.rows,
        )  # fmt: skip
    assert done.deleted == done.rows - 1
    assert connection.execute("SELECT count(*) FROM _vectorshift_windows").fetchone() == (1,)
    assert list((tmp_path / "work").iterdir()) == []


def test_chunks_are_one_parquet_file_and_one_commit_of_a_lake(
    emulator, client, request_of_day, tmp_path
):
    """A reader sees no chunk of its own: the file appears whole, the table has one new version."""
    lake = DeltaLake(tmp_path / "lake")
    landing = Landing(
        destination=tmp_path / "day.parquet",
        parquet=True,
        table="events",
        connect=lambda: nullcontext(lake),
    )
    job_of(client, request_of_day, landing, Records(), tmp_path).finish()
    ids = sorted(pq.read_table(tmp_path / "day.parquet").column("span_id").to_pylist())
    table = DeltaTable(str(tmp_path / "lake" / "events"))
    assert ids == truth(emulator)
    assert sorted(table.to_pyarrow_table().column("span_id").to_pylist()) == ids
    versions = table.version()
    job_of(client, request_of_day, landing, Records(), tmp_path).finish()
    table.update_incremental()
    assert table.version() == versions + 1


def test_a_chunk_that_fails_is_requested_again_by_itself(
    emulator, client, connection, request_of_day, tmp_path
):
    """A file that was cut costs one export more, not as many as there are chunks."""
    emulator.fault("download", "truncate", fraction=0.5, framing="close")
    target = {"table": "events", "connection": connection, "destination": None}
    done = run(client, request_of_day, tmp_path, Records(), chunks=CHUNKS, **target)
    assert (done.recreated, emulator.counters()["exports_created"]) == (1, CHUNKS + 1)
    assert rows_in(connection) == truth(emulator)


def test_a_chunk_that_is_given_up_costs_the_next_try_that_chunk_alone(
    emulator, client, connection, request_of_day, tmp_path
):
    """The others stay requested: the next try asks for one export."""
    emulator.fault("export_poll", "task_failed", times=3, body="no memory")
    target = {"table": "events", "connection": connection, "destination": None, "chunks": CHUNKS}
    records = Records()
    with pytest.raises(AnalyticsExportFailed):
        run(client, request_of_day, tmp_path, records, **target)
    assert records.discarded == 0
    assert [bool(chunk.task_id) for chunk in records.state().chunks] == [False, True, True, True]
    emulator.reset_counters()
    done = run(client, request_of_day, tmp_path, Records(), records.state(), **target)
    assert emulator.counters()["exports_created"] == 1
    assert (done.recreated, rows_in(connection)) == (0, truth(emulator))


@pytest.mark.parametrize("same_folder", [True, False])
def test_chunks_go_on_from_every_recorded_state(
    emulator, client, connection, request_of_day, tmp_path, same_folder
):
    """Wherever it died, each chunk is requested once, but for the one whose answer was not recorded."""
    target = {"connection": connection, "destination": None, "chunks": 2}
    whole = Records()
    run(client, request_of_day, tmp_path, whole, table="whole", **target)
    for place in range(len(whole)):
        records = DyingAt(place)
        table = f"events{place}"
        emulator.reset_counters()
        with pytest.raises(KeyboardInterrupt):
            run(client, request_of_day, tmp_path, records, table=table, **target)
        last = records.state()
        folder = tmp_path if same_folder else tmp_path / f"elsewhere{place}"
        done = run(client, request_of_day, folder, Records(), last, table=table, **target)
        lost = any(chunk.state == "intent" for chunk in last.chunks if chunk.asked)
        assert emulator.counters()["exports_created"] == 2, place  # a lost question never arrived
        assert done.recreated == lost, place
        assert rows_in(connection, table) == truth(emulator), place


class DyingAt(Records):
    """A process that dies right after it saved a state, counted from 0."""

    def __init__(self, place):
        super().__init__()
        self._place = place

    def write(self, state):
        super().write(state)
        if len(self) > self._place:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("before", "after"), [(2, 3), (2, 1), (1, 2)])
def test_another_number_of_chunks_starts_over(
    emulator, client, connection, request_of_day, tmp_path, before, after
):
    """What was recorded in other chunks is of no use, and does no harm."""
    records = Dying(after="staged")
    target = {"table": "events", "connection": connection, "destination": None}
    with pytest.raises(KeyboardInterrupt):
        run(client, request_of_day, tmp_path, records, chunks=before, **target)
    emulator.reset_counters()
    last = records.state()
    run(client, request_of_day, tmp_path, Records(), last, chunks=after, **target)
    assert emulator.counters()["exports_created"] == after
    assert rows_in(connection) == truth(emulator)


def test_nothing_is_downloaded_before_all_chunks_are_ready(
    emulator, client, connection, request_of_day, tmp_path
):
    """A task that leaves while it waits would lose the files of a temporary folder."""
    emulator.settings(export_delay=60)
    landing = Landing(table="events", connect=lambda: nullcontext(connection))
    records = Records()
    job = job_of(client, request_of_day, landing, records, tmp_path)
    requested = job.ask()
    assert requested.task_id == requested.chunks[0].task_id
    assert len({chunk.task_id for chunk in requested.chunks}) == CHUNKS
    assert not job.wait(0)
    assert emulator.counters()["downloads"] == 0
    emulator.settings(export_delay=0)


def test_chunks_whose_time_is_up_are_all_requested_again(
    emulator, client, connection, request_of_day, tmp_path
):
    """The time limit is the window's."""
    emulator.settings(export_delay=60)
    landing = Landing(table="events", connect=lambda: nullcontext(connection))
    records = Records()
    with pytest.raises(AnalyticsExportTimeout):
        job_of(client, request_of_day, landing, records, tmp_path, timeout=0.3).finish()
    assert records.discarded == 1


def test_chunks_that_were_overtaken_bring_newer_rows(
    emulator, client, connection, request_of_day, tmp_path
):
    """The fence is the whole window's: a neighbour's commit costs all chunks once more."""
    target = {"table": "events", "connection": connection, "destination": None}
    run(client, request_of_day, tmp_path, Overtaken(connection, 1), chunks=2, **target)
    assert emulator.counters()["exports_created"] == 4
    assert rows_in(connection) == truth(emulator)


def test_columns_that_one_chunk_has_are_null_in_the_others(
    emulator, client, connection, request_of_day, tmp_path, monkeypatch
):
    """The service may add a column between two files."""
    from vectorshift_orchestration.spills import Spill

    plain, added = Spill.rows, []

    def rows(self):
        schema, batches = plain(self)
        if added and added[0] is not self:
            return schema, batches
        added[:] = [self]
        name = "region"
        wider = (batch.append_column(name, ["eu"] * batch.num_rows) for batch in batches)
        import pyarrow as pa

        return schema.append(pa.field(name, pa.string())), wider

    monkeypatch.setattr(Spill, "rows", rows)
    target = {"table": "events", "connection": connection, "destination": None}
    run(client, request_of_day, tmp_path, Records(), chunks=2, **target)
    first, _ = DAY.divide(2)
    known = connection.execute("SELECT span_id FROM events WHERE region = 'eu' ORDER BY 1")
    assert [row[0] for row in known.fetchall()] == truth(emulator, first)
    assert rows_in(connection) == truth(emulator)


def test_files_of_the_service_cannot_be_one(client, request_of_day, tmp_path):
    """Refused before the first request."""
    with pytest.raises(SpecError, match="publish the file as Parquet"):
        run(client, request_of_day, tmp_path, Records(), chunks=2)


@pytest.mark.parametrize("chunks", [0, 101, True, 2.0, "2"])
def test_a_number_of_chunks_that_cannot_be_is_refused(chunks):
    """The error names the option."""
    with pytest.raises(SpecError, match="chunks= is a whole number from 1 to 100"):
        ExportOptions(chunks=chunks)


# --- records ---------------------------------------------------------------------------


def test_a_record_without_chunks_is_as_before():
    """An earlier version reads it, and what an earlier version wrote is read."""
    state = ExportState("key", "created", "task")
    assert "chunks" not in state.to_json()
    assert ExportState.from_json(state.to_json()) == state


def test_a_record_of_chunks_comes_back_and_is_small():
    """Of a chunk only what is known is kept."""
    parts = [ExportState(f"{part:064}", "created", f"task{part}", 1) for part in range(100)]
    state = together(ExportState("whole", attempt="a", deadline=1.0), parts)
    text = json.dumps(state.to_json())
    assert ExportState.from_json(json.loads(text)) == state
    assert len(text) < 20_000


@pytest.mark.parametrize(
    "chunks", [None, "x", [1], [{"state": "created"}], [{"key": "k", "rows": -1}]]
)
def test_a_record_with_damaged_chunks_is_refused(chunks):
    """As any other damaged record."""
    with pytest.raises(ExportStateError):
        ExportState.from_json({**ExportState("key").to_json(), "chunks": chunks})


# --- windows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "number", "unit"),
    [
        (DAY, 24, timedelta(hours=1)),
        (DAY, 7, timedelta(minutes=1)),
        (Window(DAY.start, DAY.start + timedelta(hours=25)), 96, timedelta(minutes=1)),
        (Window(DAY.start + timedelta(milliseconds=1), DAY.end), 3, timedelta(minutes=1)),
        (Window(DAY.start, DAY.start + timedelta(seconds=10)), 10, timedelta(seconds=1)),
        (DAY, 1, timedelta(days=1)),
    ],
)  # fmt: skip
def test_a_window_is_divided_at_whole_minutes_or_seconds(window, number, unit):
    """The parts follow on each other, make up the window, and are as long as each other but for a unit."""
    parts = window.divide(number)
    assert len(parts) == number
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all((part.end - MIDNIGHT) % unit == timedelta(0) for part in parts[:-1])
    widths = [part.width for part in parts]
    assert max(widths) - min(widths) <= 2 * unit


def test_a_window_is_not_divided_below_seconds():
    """Finer ends cannot be compared by every service."""
    with pytest.raises(WindowError, match="too short for 11"):
        Window(DAY.start, DAY.start + timedelta(seconds=10)).divide(11)
    with pytest.raises(WindowError, match="1 window or more"):
        DAY.divide(0)
