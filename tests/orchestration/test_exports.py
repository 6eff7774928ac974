"""From a request to rows that landed, against a running emulator; and nothing when it went wrong."""

from __future__ import annotations

import json
import pickle
from contextlib import nullcontext
from datetime import timedelta

import pyarrow as pa
import pytest

from tests.days import MIDNIGHT
from vectorshift import Client
from vectorshift.analytics import EventField, FieldFilter
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsExportTimeout,
    AnalyticsInvalidQuery,
    RetryAdvice,
)
from vectorshift.export_tasks import export_state
from vectorshift_orchestration.errors import (
    EventShapeError,
    ExportFileError,
    ExportIncomplete,
    OrchestrationError,
    PublishError,
    SchemaMismatch,
    StorageError,
)
from vectorshift_orchestration.exports import ExportJob, ExportLanded, ExportOptions, ExportRequest
from vectorshift_orchestration.exports.fetch import submit
from vectorshift_orchestration.exports.staging import stage
from vectorshift_orchestration.extract import aggregate
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.windows import Window

DAYS = Window(MIDNIGHT - timedelta(days=3), MIDNIGHT)
BEFORE = Window(DAYS.start - DAYS.width, DAYS.start)
EDGE = Window(MIDNIGHT - timedelta(days=20), MIDNIGHT - timedelta(days=19))


@pytest.fixture
def emulator(vectorshift_emulator):
    vectorshift_emulator.settings(export_mode="sync")
    return vectorshift_emulator


@pytest.fixture
def client(emulator):
    with Client(api_key=emulator.api_key, base_url=emulator.base_url) as opened:
        yield opened


def request_for(client, window=DAYS, format="CSV", **filters):
    return ExportRequest(client.query().where(**filters).to_dict(), window, format)


def export(client, request, folder, **options):
    return stage(client, submit(client, request), request, folder, **options)


def land(staged, request, connection=None, **places):
    """The staged file in a landing, on a connection that is open already."""
    connect = None if connection is None else lambda: nullcontext(connection)
    return Landing(connect=connect, **places).write_export(staged, request.window, key=request.key)


class NoRecord:
    """A record that remembers nothing: the job begins anew."""

    def read(self):
        return None

    def write(self, state):
        self.state = state

    def discard(self):
        pass


def job_for(client, request, folder, **options):
    """A job that lands a file."""
    landing = Landing(destination=folder / "published.csv")
    return ExportJob(
        client,
        request,
        landing,
        NoRecord(),
        directory=folder / "work",
        options=ExportOptions(**{"poll_interval": 0.02, **options}),
    )


def truth(emulator, window, condition="true"):
    sql = (
        f"SELECT span_id FROM events WHERE start_time >= '{window.start:%F %T}' "
        f"AND start_time < '{window.end:%F %T}' AND {condition}"
    )
    return sorted(row["span_id"] for row in emulator.truth(sql))


def landed(connection, table="events"):
    return [
        row[0] for row in connection.execute(f"SELECT span_id FROM {table} ORDER BY 1").fetchall()
    ]


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_a_window_lands_as_file_and_table(emulator, client, connection, tmp_path, format):
    """What lands is the emulator's truth, twice with the same rows, and the ledger knows it."""
    request = request_for(client, format=format)
    expected = truth(emulator, DAYS)
    for attempt in range(2):
        staged = export(client, request, tmp_path)
        result = land(
            staged,
            request,
            destination=tmp_path / "out" / f"{DAYS.label}.{format}",
            table="lake.events",
            connection=connection,
        )
        assert result.rows == staged.counted == len(expected) > 100
        assert result.deleted == attempt * len(expected)
        assert landed(connection, "lake.events") == expected
    assert result.uri.endswith(f"{DAYS.label}.{format}")
    commit = committed(connection, "lake.events", DAYS)
    assert (commit.key, commit.rows, commit.sha256) == (request.key, result.rows, result.sha256)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{DAYS.label}.{format}"]


def test_the_three_formats_of_one_export_are_equal(client, tmp_path):
    """The service's CSV, JSON and XLSX files of the same events give the same table."""
    tables = []
    for format in ("CSV", "JSON", "XLSX"):
        staged = export(client, request_for(client, format=format), tmp_path)
        schema, batches = read_export(staged.path, format)
        tables.append(pa.Table.from_batches(batches, schema).sort_by("span_id"))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_filters_travel_with_the_request(emulator, client, connection, tmp_path):
    """A request with a filter lands exactly the rows that the filter selects."""
    request = request_for(client, status="failure")
    land(export(client, request, tmp_path), request, table="events", connection=connection)
    assert landed(connection) == truth(emulator, DAYS, "status = 'failure'") != []


def test_another_process_goes_on_with_the_id_alone(emulator, client, tmp_path):
    """Staging needs nothing but the task id, once it is ready; what is passed on holds no URL."""
    emulator.settings(export_mode="async", export_delay=0)
    request = pickle.loads(pickle.dumps(request_for(client)))
    task = submit(client, request)
    assert task["task_status"] == "pending"
    while export_state(client.export_task(task["task_id"])) == "pending":
        pass
    staged = stage(client, task["task_id"], request, tmp_path)
    result = ExportLanded(DAYS, staged.rows, task_id=staged.task_id)
    signature = client.export_task(task["task_id"])["download_url"].rpartition("?")[2]
    assert signature
    assert signature not in str(result.to_json())
    assert result.to_json()["task_id"] == task["task_id"]
    assert result.to_json()["table"] is None


def test_a_job_is_requested_awaited_and_finished_in_steps(emulator, client, tmp_path):
    """Asking does not wait, a short wait says that it is too early, and each wait looks once."""
    emulator.settings(export_mode="async", export_delay=0.3)
    emulator.reset_counters()
    job = job_for(client, request_for(client), tmp_path)
    requested = job.ask()
    assert (requested.state, bool(requested.task_id)) == ("created", True)
    assert job.ask() == requested
    assert job.wait(0) is False
    polls = emulator.counters()["polls"]
    assert job.wait(0) is False
    assert emulator.counters()["polls"] == polls + 1
    assert job.wait(20) is True
    assert not (tmp_path / "published.csv").exists()
    assert job.finish().rows == len(truth(emulator, DAYS))
    assert (tmp_path / "published.csv").exists()
    assert emulator.counters()["exports_created"] == 1


def test_a_service_without_polls_is_used_as_it_is(emulator, client, tmp_path):
    """Where the create reply has the URL and nobody answers polls, nothing is polled."""
    emulator.settings(export_mode="no-poll")
    emulator.reset_counters()
    job = job_for(client, request_for(client), tmp_path)
    assert job.wait(5) is True
    assert job.finish().rows == len(truth(emulator, DAYS))
    assert emulator.counters()["polls"] == 0


def test_an_export_that_never_gets_ready_ends_in_time(emulator, client, tmp_path):
    """Waiting has an end, and the error is the SDK's."""
    emulator.settings(export_mode="async", export_delay=60)
    with pytest.raises(AnalyticsExportTimeout):
        job_for(client, request_for(client), tmp_path, timeout=0.2).finish()


def test_an_export_that_fails_when_it_is_created_is_an_error_at_once(emulator, client):
    """A task that has failed by the time of the answer raises, with the service's own reason."""
    emulator.fault("export_create", "task_failed", body="disk full")
    with pytest.raises(AnalyticsExportFailed, match="disk full"):
        submit(client, request_for(client))


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
@pytest.mark.parametrize("framing", ["honest", "chunked", "close"])
def test_a_file_cut_in_transit_is_never_staged(emulator, client, tmp_path, format, framing):
    """Even a cut that HTTP cannot show leaves no file behind."""
    emulator.fault("download", "truncate", times=0, fraction=0.6, framing=framing)
    with pytest.raises((AnalyticsDownloadFailed, ExportFileError, ExportIncomplete)):
        export(client, request_for(client, format=format), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_is_named(client, tmp_path):
    """When the file cannot be stored, the error says where and why, in our words."""
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(PublishError, match="could not be stored in"):
        export(client, request_for(client), blocked / "below")


def test_a_file_that_lost_whole_rows_is_incomplete(emulator, client, tmp_path):
    """Rows that arrive after the file was written: the count tells, and says how many."""
    request = request_for(client)
    task = submit(client, request)
    rows = len(truth(emulator, DAYS))
    emulator.burst(3, at=DAYS.start + timedelta(hours=1))
    with pytest.raises(ExportIncomplete, match="export again") as caught:
        stage(client, task, request, tmp_path)
    assert (caught.value.rows, caught.value.counted) == (rows, rows + 3)
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_counted_pass_only_while_the_window_is_young(client, tmp_path):
    """A file of a wider query is refused for a settled window and let pass within the horizon."""
    task = submit(client, request_for(client))
    narrow = request_for(client, status="failure")
    with pytest.raises(ExportIncomplete, match="holds"):
        stage(client, task, narrow, tmp_path, late_arrival=timedelta(0))
    staged = stage(client, task, narrow, tmp_path, late_arrival=timedelta(days=3650))
    assert staged.rows > staged.counted


def test_the_file_of_another_window_is_refused(client, tmp_path):
    """A file whose rows lie elsewhere is not this window's, however many it has."""
    task = submit(client, request_for(client, BEFORE))
    with pytest.raises(ExportIncomplete, match="another window"):
        stage(client, task, request_for(client), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_just_beside_the_window_name_what_brings_them(emulator, client, tmp_path):
    """A service that rounds times would give the same file again, so nobody is told to export again."""
    emulator.burst(2, at=DAYS.end)
    wider = Window(DAYS.start, DAYS.end + timedelta(seconds=1))
    task = submit(client, request_for(client, wider))
    with pytest.raises(EventShapeError, match="rounds the times") as caught:
        stage(client, task, request_for(client), tmp_path)
    assert "export again" not in str(caught.value)
    assert caught.value.retry_advice is RetryAdvice.PERMANENT
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_the_window_before_is_another_one(emulator, client, tmp_path):
    """All of its rows lie outside, though the newest may be just beside."""
    before = Window(DAYS.start - timedelta(seconds=1), DAYS.start)
    emulator.burst(2, at=before.start)
    task = submit(client, request_for(client, before))
    with pytest.raises(ExportIncomplete, match="another window"):
        stage(client, task, request_for(client), tmp_path)


def test_a_table_that_refuses_leaves_no_file(client, connection, tmp_path):
    """The file is published with the rows or not at all."""
    connection.execute("CREATE TABLE events (span_id INTEGER, span_start_time TIMESTAMP)")
    request = request_for(client)
    target = tmp_path / "out" / "x.csv"
    with pytest.raises(SchemaMismatch):
        land(
            export(client, request, tmp_path),
            request,
            destination=target,
            table="events",
            connection=connection,
        )
    assert not target.exists()


def test_a_destination_that_refuses_leaves_the_old_rows(client, connection, tmp_path):
    """If the file cannot be published, the table keeps what it had."""
    request = request_for(client)
    land(export(client, request, tmp_path), request, table="events", connection=connection)
    connection.execute("DELETE FROM events WHERE status = 'success'")
    before = landed(connection)
    with pytest.raises(PublishError):
        land(
            export(client, request, tmp_path),
            request,
            destination=tmp_path,
            table="events",
            connection=connection,
        )
    assert landed(connection) == before


def test_landing_nowhere_is_an_error(client, tmp_path):
    """Neither file nor table, or a table without a connection: a sentence, not a shrug."""
    request = request_for(client)
    staged = export(client, request, tmp_path)
    with pytest.raises(StorageError, match="nowhere to land"):
        land(staged, request)
    with pytest.raises(StorageError, match="needs a database"):
        land(staged, request, table="events")


def test_the_identity_is_the_request(client):
    """Equal requests share key and file name; another query, window or format has its own."""
    request = request_for(client)
    shuffled = ExportRequest(dict(reversed(request.query.items())), DAYS, "csv")
    assert request.key == shuffled.key
    others = {
        request_for(client, BEFORE).key,
        request_for(client, format="JSON").key,
        request_for(client, status="failure").key,
    }
    assert len(others | {request.key}) == 4
    assert request.file_name == f"vs-{request.key[:16]}.csv"


def test_a_request_is_the_same_after_a_journey_as_json(client):
    """Between processes a request travels as JSON, and keeps its identity."""
    request = request_for(client, format="JSON", status="failure")
    reported = json.loads(json.dumps(request.to_dict()))
    assert set(reported) == {"query", "window", "format"}
    assert ExportRequest.from_dict(reported) == request
    assert ExportRequest.from_dict(reported).key == request.key


def test_a_result_has_everything_as_json():
    """What an orchestrator passes on: where it landed, how it was checked, how often requested."""
    landed = ExportLanded(
        DAYS,
        5,
        uri="file:///x",
        bytes=99,
        sha256="ab",
        task_id="ex_1",
        verified="checksum",
        recreated=1,
    )
    assert json.loads(json.dumps(landed.to_json())) == {
        "task_id": "ex_1",
        "window": DAYS.to_dict(),
        "rows": 5,
        "bytes": 99,
        "sha256": "ab",
        "uri": "file:///x",
        "table": None,
        "deleted": None,
        "verified": "checksum",
        "recreated": 1,
    }


def test_a_request_that_cannot_be_sent_is_refused_before_http(emulator, client):
    """An unknown format or a broken query never reaches the service."""
    emulator.reset_counters()
    for request in (request_for(client, format="PDF"), ExportRequest({"wehre": []}, DAYS)):
        with pytest.raises((AnalyticsInvalidQuery, OrchestrationError)):
            submit(client, request)
    assert sum(emulator.counters()["requests"].values()) == 0


@pytest.mark.parametrize("bounds", ["closed", "open", "half-open", "open-closed"])
def test_an_event_on_the_edge_belongs_to_one_window(emulator, client, tmp_path, bounds):
    """Whatever the service includes, start is in and end is out: counts, sums and files alike."""
    emulator.settings(bounds=bounds)
    for at in (EDGE.start, EDGE.end - timedelta(milliseconds=1), EDGE.end):
        emulator.burst(1, at=at, status="success")
    neighbours = [EDGE, Window(EDGE.end, EDGE.end + timedelta(hours=1))]
    spec = AggregationSpec(["runs.sum"])
    for window in neighbours:
        expected = truth(emulator, window)
        runs = truth(emulator, window, "is_run")
        request = request_for(client, window)
        assert window.bound(client.query()).count()["count"] == len(expected)
        assert aggregate(client.query(), window, spec)["runs_sum"].to_pylist() == [len(runs)]
        assert export(client, request, tmp_path).rows == len(expected)


def test_several_days_are_measured_in_one_request(emulator, client):
    """Days x pipelines x metrics from one call equal what the database says."""
    spec = AggregationSpec(
        ["runs.sum", "errors.sum", "error_rate", "tokens.sum", "latency.p95"],
        ["time", "pipeline_id"],
        "day",
    )
    emulator.reset_counters()
    table = aggregate(client.query(), DAYS, spec)
    assert emulator.counters()["requests"]["aggregations"] == 1
    expected = emulator.truth(
        "SELECT strftime(date_trunc('day', start_time), '%Y-%m-%d') AS day, pipeline_id, "
        "count(*) AS runs, count(*) FILTER (status = 'failure') AS errors, "
        "coalesce(sum(tokens), 0)::BIGINT AS tokens, quantile_cont(latency, 0.95) AS p95 "
        f"FROM events WHERE is_run AND start_time >= '{DAYS.start:%F}' "
        f"AND start_time < '{DAYS.end:%F}' GROUP BY ALL"
    )
    result = {(f"{row['bucket_start']:%F}", row["pipeline_id"]): row for row in table.to_pylist()}
    measured = {key: row for key, row in result.items() if row["runs_sum"]}
    assert len(measured) == len(expected) > 3
    for row in expected:
        line = result[row["day"], row["pipeline_id"]]
        assert line["runs_sum"] == row["runs"]
        assert line["errors_sum"] == row["errors"]
        assert line["tokens_sum"] == row["tokens"]
        assert line["error_rate"] == pytest.approx(row["errors"] / row["runs"])
        assert line["latency_p95"] == pytest.approx(row["p95"])


def test_a_window_that_cuts_a_bucket_is_refused(emulator, client):
    """Half a day reported as a day would be a wrong answer, so it is not requested."""
    emulator.reset_counters()
    window = Window(DAYS.start + timedelta(hours=12), DAYS.end)
    with pytest.raises(ValueError, match="whole day"):
        aggregate(client.query(), window, AggregationSpec(["runs.sum"], ["time"], "day"))
    assert sum(emulator.counters()["requests"].values()) == 0


def test_an_empty_window_lands_as_nothing(client, connection, tmp_path):
    """A window without events makes a table with all columns and no rows."""
    window = Window(MIDNIGHT - timedelta(days=900), MIDNIGHT - timedelta(days=899))
    request = request_for(client, window)
    result = land(export(client, request, tmp_path), request, table="e", connection=connection)
    assert (result.rows, landed(connection, "e")) == (0, [])
    assert len(connection.execute("DESCRIBE e").fetchall()) == 27
    table = aggregate(client.query(), window, AggregationSpec(["runs.sum", "latency.mean"]))
    assert table.to_pylist() == [
        {"bucket_start": window.start, "runs_sum": 0, "latency_mean": None}
    ]


def test_a_users_own_bounds_stay(emulator, client):
    """A query that is bounded already is narrowed further, never widened."""
    noon = DAYS.start + timedelta(hours=12)
    query = client.query().where(FieldFilter.gte(EventField.EVENT_START_TIME, noon))
    expected = truth(emulator, Window(noon, DAYS.end))
    assert DAYS.bound(query).count()["count"] == len(expected)
