"""Publishing beyond the disk: object stores in one upload, anything else by upload and rename."""

from __future__ import annotations

import hashlib
import os

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath
from upath.extensions import ProxyUPath

from tests.orchestration.s3_server import s3_server
from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.files import publish

CONTENT = os.urandom(3 << 19)
LARGE = os.urandom(11 << 20)


@pytest.fixture(scope="module")
def server():
    with s3_server() as started:
        started.path("lake").fs.mkdir("lake")
        yield started


@pytest.fixture
def s3(server):
    server.reset()
    yield server
    root = server.path("lake")
    root.fs.invalidate_cache()
    for path in root.fs.find("lake"):
        root.fs.rm_file(path)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def keys(server):
    fs = server.path("lake").fs
    fs.invalidate_cache()
    return fs.find("lake")


def stored(server, key):
    path = server.path(key)
    path.fs.invalidate_cache()
    return path.read_bytes()


def test_a_file_goes_to_s3_in_one_upload(s3, source):
    """One PUT makes the object; its bytes, size, checksum and URI are those of the source."""
    seen = []
    done = publish(source, s3.path("lake/events/dt=2026-11-22/part-0.csv"), progress=seen.append)
    assert stored(s3, "lake/events/dt=2026-11-22/part-0.csv") == CONTENT
    assert done.uri == "s3://lake/events/dt=2026-11-22/part-0.csv"
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert done.bytes == len(CONTENT) == seen[-1]
    assert keys(s3) == ["lake/events/dt=2026-11-22/part-0.csv"]
    assert s3.methods["PUT"] == 1


def test_a_uri_is_opened_by_fsspecs_own_rules(s3, source, monkeypatch):
    """A plain s3:// text takes its credentials and endpoint from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert publish(source, "s3://lake/x.csv").uri == "s3://lake/x.csv"
    assert stored(s3, "lake/x.csv") == CONTENT


def test_a_large_file_goes_in_parts_and_appears_at_the_end(s3, source):
    """A multipart upload is one object when it is complete."""
    source.write_bytes(LARGE)
    target = s3.path("lake/large.csv")
    target.fs.put_file = _in_parts(target.fs)
    assert publish(source, target).bytes == len(LARGE)
    assert stored(s3, "lake/large.csv") == LARGE


def _in_parts(fs):
    """The driver's upload, in the smallest parts that S3 takes, so that a test can be small."""
    original = fs.put_file

    def put_file(lpath, rpath, **options):
        return original(lpath, rpath, chunksize=5 << 20, **options)

    return put_file


def test_an_upload_that_breaks_leaves_what_was_there(s3, source):
    """A part that fails aborts the upload: the old object stands, no parts are left."""
    target = s3.path("lake/large.csv", use_listings_cache=False)
    publish(source, target)
    source.write_bytes(LARGE)
    target.fs.put_file = _in_parts(target.fs)
    s3.parts = 99
    with pytest.raises(PublishError, match="run again"):
        publish(source, target)
    assert stored(s3, "lake/large.csv") == CONTENT
    assert target.fs.list_multipart_uploads("lake") == []


def test_a_store_that_is_busy_stores_nothing(s3, source):
    """503 SlowDown until the driver gives up: no object, an error that says to run again."""
    s3.before = 99
    with pytest.raises(PublishError, match=r"s3://lake/x\.csv could not be written"):
        publish(source, s3.path("lake/x.csv"))
    assert keys(s3) == []


def test_an_upload_whose_answer_is_lost_is_complete(s3, source):
    """Stored, then an error: the object is whole, and running again settles it."""
    s3.after = 99
    with pytest.raises(PublishError, match="or the new one, complete"):
        publish(source, s3.path("lake/x.csv"))
    assert stored(s3, "lake/x.csv") == CONTENT
    s3.reset()
    assert publish(source, s3.path("lake/x.csv")).bytes == len(CONTENT)


def test_an_object_that_exists_is_replaced_or_kept(s3, source):
    """Overwriting is the default; with overwrite=False the old object stays."""
    target = s3.path("lake/x.csv")
    publish(source, target, overwrite=False)
    source.write_bytes(b"new")
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, target, overwrite=False)
    assert stored(s3, "lake/x.csv") == CONTENT
    publish(source, target)
    assert stored(s3, "lake/x.csv") == b"new"


def test_a_bucket_or_folder_is_no_object(s3, source):
    """The destination has to name the object."""
    for destination in (s3.path("lake"), "s3://lake", "s3://lake/", "s3://lake/folder/"):
        with pytest.raises(PublishError, match="folder or a bucket"):
            publish(source, destination)


def test_a_bucket_that_is_not_there_is_not_made(s3, source):
    """A wrong bucket is an error, not a new bucket."""
    with pytest.raises(PublishError, match="could not be written"):
        publish(source, s3.path("elsewhere/x.csv"))


# --- other file systems, and objects that know theirs -------------------------------


def test_other_stores_get_an_upload_beside_and_a_rename(source):
    """A store that shows uploads while they grow gets another name first, then a rename."""
    target = UPath("memory://published/a/x.csv")
    assert not isinstance(target, os.PathLike)
    for content in (CONTENT, b"second"):
        source.write_bytes(content)
        done = publish(source, target)
        assert target.read_bytes() == content
        assert done.uri == "memory:///published/a/x.csv"
        assert [path.name for path in target.parent.iterdir()] == ["x.csv"]


def test_a_stop_in_the_middle_of_an_upload_shows_nothing(source):
    """What interrupts the upload leaves neither half a file nor a temporary one."""
    target = UPath("memory://stopped/x.csv")

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(source, target, progress=stop)
    assert MemoryFileSystem().find("/stopped") == []


def test_a_path_that_knows_its_file_system_is_taken_as_it_is(tmp_path, source):
    """Airflow's `ObjectStoragePath` is such a proxy, and no `os.PathLike`: fs and path are used."""
    target = ProxyUPath(f"file://{tmp_path}/a b/x.csv")
    assert not isinstance(target, os.PathLike)
    done = publish(source, target)
    assert done.uri == f"file://{tmp_path}/a b/x.csv"
    assert [path.name for path in (tmp_path / "a b").iterdir()] == ["x.csv"]


def test_a_source_that_changed_since_it_was_checked_is_refused(tmp_path, source, s3):
    """The expected checksum is compared before anything is visible, on disks and beyond."""
    for target in (tmp_path / "x.csv", s3.path("lake/x.csv")):
        with pytest.raises(PublishError, match="not the file any more"):
            publish(source, target, sha256="0" * 64)
    assert not (tmp_path / "x.csv").exists()
    assert keys(s3) == []
