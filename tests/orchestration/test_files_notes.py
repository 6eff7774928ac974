"""Files that are replaced window by window: a note beside them says whose they are."""

from __future__ import annotations

from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from tests.orchestration.rows import DAY, batch
from tests.orchestration.s3_server import s3_server
from vectorshift_orchestration.errors import PublishError, StorageError, WindowTakenError
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.destinations import partition_path
from vectorshift_orchestration.storage.notes import Note, note_path
from vectorshift_orchestration.storage.parquet import write_parquet


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    """A folder of files on a disk, and one beyond it."""
    return str(tmp_path) if request.param == "disk" else f"memory://{uuid4().hex}"


def place(root, **options):
    file = partition_path(root, "events", DAY, "parquet")
    return Landing(destination=file, note=note_path(root, "events", DAY), **options)


def rows(number):
    return pa.Table.from_batches([batch([DAY.start], n=[number])])


def write(landing, query_key, number):
    return landing.write_rows({DAY: rows(number)}, time_column="at", query_key=query_key)


def held(landing):
    with UPath(landing.destination).open("rb") as file:
        return pq.read_table(file)["n"].to_pylist()


def test_the_rows_of_another_query_are_not_replaced_unseen(root):
    """Refused before the work and when it is done; a query that tells nothing, and one that may replace, pass."""
    landing = place(root)
    write(landing, "one", 1)
    for refused in (lambda: landing.begin_attempt(DAY, "two"), lambda: write(landing, "two", 2)):
        with pytest.raises(WindowTakenError, match="replace_other=True"):
            refused()
    assert held(landing) == [1]
    write(landing, None, 3)
    write(landing, "one", 4)
    write(place(root, replace_other=True), "two", 5)
    with pytest.raises(WindowTakenError):
        write(landing, "one", 6)
    assert held(landing) == [5]


def test_an_empty_note_keeps_no_writer_away(root):
    """A file that was removed, or was never written, is not somebody's."""
    landing = place(root)
    write(landing, "one", 1)
    UPath(landing.destination).unlink()
    landing.begin_attempt(DAY, "two")
    write(landing, "two", 2)
    assert held(landing) == [2]


def test_of_two_queries_at_once_one_is_reported(root):
    """Who finds another's note once its own file is written does not take it for a success."""

    landing = place(root)

    def overtaken():
        yield from rows(1).to_batches()
        UPath(landing.note).write_text('{"query_key": "two"}')

    file = Note(landing.note, landing.destination)
    with (
        pytest.raises(WindowTakenError, match="at once"),
        file.claimed("one", replace_other=False),
    ):
        write_parquet(rows(1).schema, overtaken(), landing.destination)
    write(landing, "two", 2)


def test_a_damaged_note_is_reported(root):
    """Nobody knows what it said, so nothing is written; without it the file is anybody's."""
    landing = place(root)
    write(landing, "one", 1)
    for damage in (b"", b"[]", b"\xff"):
        UPath(landing.note).write_bytes(damage)
        with pytest.raises(StorageError, match="remove the note"):
            write(landing, "one", 2)
    UPath(landing.note).unlink()
    write(landing, "two", 3)
    assert held(landing) == [3]


def test_who_may_only_put_is_let_pass():
    """A note that may not be read says nothing, as in a store that lets a key put objects and nothing else."""
    with s3_server() as server:
        server.path("lake").fs.mkdir("lake")
        server.write_only = True
        landing = Landing(
            destination=server.path("lake/x.parquet"), note=server.path("lake/n.json")
        )
        for number in range(2):
            write(landing, "one", number)


def test_a_note_that_cannot_be_written_leaves_the_file(tmp_path):
    """The note comes first: without it no row is replaced."""
    landing = place(str(tmp_path))
    write(landing, "one", 1)
    (tmp_path / "_vectorshift_windows").rename(tmp_path / "elsewhere")
    (tmp_path / "_vectorshift_windows").write_text("in the way")
    with pytest.raises(PublishError, match="_vectorshift_windows"):
        write(landing, "one", 2)
    assert held(landing) == [1]
