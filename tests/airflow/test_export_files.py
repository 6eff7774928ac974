"""Destinations: Airflow's ObjectStoragePath, with and without a connection, local paths, Parquet."""

import json
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.sdk.io import attach

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._landing import Place, as_text
from airflow_provider_vectorshift.errors import VectorShiftConnectionError
from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from tests.airflow.running import Runner, last_day, truth
from tests.orchestration.s3_server import s3_server
from vectorshift import Analytics
from vectorshift_orchestration.readers import read_export


@pytest.fixture(scope="module")
def lake():
    """An S3 server; Airflow's ObjectStoragePath reaches it as connection `lake`."""
    with s3_server() as server:
        root = server.path("lake")
        root.fs.mkdir("lake")
        attach(
            "s3", conn_id="lake", fs=root.fs
        )  # what the Amazon provider does for its connections
        yield root


def export(destination, **arguments):
    """The result of an export of the last day that runs here."""
    day = last_day()
    task = VectorShiftExportOperator(
        task_id="export", start=day.start, end=day.end, destination=destination, **arguments
    )
    return task.execute({})


def in_file(path):
    """The ids in a file, in order."""
    _, batches = read_export(path, "CSV")
    return sorted((cell,) for batch in batches for cell in batch.column("span_id").to_pylist())


def test_object_storage_with_a_connection(emulator, lake, tmp_path):
    """`s3://conn_id@bucket/key` is published with that connection; the result names no connection."""
    result = export("s3://lake@lake/dt=2026-11-22/events.csv")
    assert result["uri"] == "s3://lake/dt=2026-11-22/events.csv"
    (tmp_path / "copy.csv").write_bytes((lake / "dt=2026-11-22" / "events.csv").read_bytes())
    assert in_file(tmp_path / "copy.csv") == truth(emulator, last_day())


def test_object_storage_path_is_text_with_its_connection():
    """An ObjectStoragePath keeps its connection in the text that a DAG is serialized with."""
    path = ObjectStoragePath("s3://lake@bucket/dt={{ ds }}/x.csv")
    task = VectorShiftExportOperator(task_id="export", destination=path)
    assert task.destination == "s3://lake@bucket/dt={{ ds }}/x.csv"
    assert as_text(ObjectStoragePath("file:///a/b.csv")) == "file:///a/b.csv"
    assert as_text(ObjectStoragePath("s3://bucket/b.csv", conn_id="lake")) == (
        "s3://lake@bucket/b.csv"
    )


def test_storage_options_are_refused():
    """Options in the path may be credentials, so they have no place in a DAG."""
    path = ObjectStoragePath("s3://bucket/x.csv", key="AKIA", secret="hidden")
    with pytest.raises(
        ValueError, match=r"VectorShiftExportOperator 'export': .*options"
    ) as caught:
        VectorShiftExportOperator(task_id="export", destination=path)
    assert "hidden" not in str(caught.value)


def test_file_uri(emulator, tmp_path):
    """A file:// URI is a local path."""
    result = export((tmp_path / "events.csv").as_uri())
    assert result["uri"] == (tmp_path / "events.csv").as_uri()
    assert in_file(tmp_path / "events.csv") == truth(emulator, last_day())


def test_parquet(emulator, tmp_path):
    """With parquet=True the file has the rows with their types."""
    result = export(tmp_path / "events.parquet", parquet=True)
    table = pq.read_table(tmp_path / "events.parquet")
    ids = sorted((cell,) for cell in table.column("span_id").to_pylist())
    assert ids == truth(emulator, last_day())
    assert str(table.schema.field("span_start_time").type) == "timestamp[us, tz=UTC]"
    assert result["rows"] == table.num_rows


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("s3://lake@lake/", "folder or a bucket"),
        ("s3://lake@lake", "folder or a bucket"),
        ("gs://there@bucket/x.csv", "Airflow provider that serves gs://"),
        ("https://host/x.csv", "not a storage"),
        ("file://elsewhere/x.csv", "another host"),
        ("folder/", "folder or a bucket"),
    ],
)
def test_destinations_that_are_not_a_file(emulator, lake, destination, words):
    """What a template turns into no one file is refused at once, before any request."""
    day = last_day()
    task = VectorShiftExportOperator(
        task_id="export", start=day.start, end=day.end, destination="{{ params.destination }}"
    )
    task.destination = destination
    with pytest.raises(AirflowFailException, match=words):
        task.execute({})
    assert emulator.counters()["requests"] == {}


def test_destination_of_a_missing_connection(monkeypatch):
    """A scheme that Airflow serves, with a connection that is not there, names the connection."""
    from airflow.sdk.io import fs as filesystems
    from fsspec.implementations.memory import MemoryFileSystem

    def opened(conn_id, options):
        from airflow.sdk import BaseHook

        BaseHook.get_connection(conn_id)
        return MemoryFileSystem()

    monkeypatch.setattr(filesystems, "_register_filesystems", lambda: {"memory": opened})
    for user in ("nowhere", "nowhere:hunter2"):
        with pytest.raises(
            VectorShiftConnectionError, match="names connection 'nowhere'"
        ) as reported:
            Place(f"memory://{user}@bucket/x.csv?sig=hunter2").landing()
        assert "hunter2" not in str(reported.value)


QUERIES = [Analytics.query().where(status=status).to_dict() for status in ("success", "failure")]


def test_mapped_tasks_with_one_target_are_refused(emulator):
    """Mapped tasks that share a file would replace each other's rows, so they fail before any request."""
    with DAG("d", schedule=None) as dag:
        mapped = VectorShiftExportOperator.partial(task_id="export", destination="x.csv")
        mapped.expand(query=QUERIES)
    day = last_day()
    task = VectorShiftExportOperator(
        task_id="export", destination="x.csv", query=QUERIES[0], start=day.start, end=day.end
    )
    with pytest.raises(AirflowFailException, match="destination= is the same for all"):
        task.execute({"dag": dag, "ti": SimpleNamespace(map_index=0)})
    assert emulator.counters()["requests"] == {}


@pytest.mark.airflow
def test_mapped_tasks_land_by_themselves(emulator, tmp_path, monkeypatch, metadata_database):
    """Mapped over queries, each task has its file."""
    run = Runner(tmp_path, monkeypatch)
    monkeypatch.setenv("ONE_EXPORT_EACH", json.dumps([{"query": query} for query in QUERIES]))
    own = str(tmp_path / "{{ ti.map_index }}.csv")
    done = run(destination=own, table=None, duckdb_path=None)
    assert done.errors == []
    for number, status in enumerate(("success", "failure")):
        expected = truth(emulator, last_day(), f"status = '{status}'")
        assert in_file(tmp_path / f"{number}.csv") == expected
