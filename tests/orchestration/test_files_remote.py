"""Publishing beyond the disk: object stores in one upload, anything else by upload and rename."""

from __future__ import annotations

import hashlib
import os
import pickle
import traceback
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath
from upath.extensions import ProxyUPath

from tests.orchestration.s3_server import s3_server
from vectorshift_orchestration.errors import OrchestrationError, PublishError, StorageError
from vectorshift_orchestration.storage.destinations import RemotePath
from vectorshift_orchestration.storage.duckdb_file import database_file
from vectorshift_orchestration.storage.files import publish
from vectorshift_orchestration.storage.notes import Note
from vectorshift_orchestration.storage.sweeper import sweep

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
    server.reset()
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
    for name, value in s3.variables().items():
        monkeypatch.setenv(name, value)
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


def test_a_key_that_may_only_put_is_enough(s3, source):
    """The store's answer to the upload is the proof, whether or not somebody may look at it."""
    s3.write_only = True
    for content, overwrite in ((CONTENT, False), (b"new", True)):
        source.write_bytes(content)
        done = publish(source, s3.path("lake/x.csv"), overwrite=overwrite)
        assert done.bytes == len(content)
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, s3.path("lake/x.csv"), overwrite=False)
    s3.write_only = False
    assert stored(s3, "lake/x.csv") == b"new"


@pytest.mark.parametrize("lenient", [False, True], ids=["conditions", "no conditions"])
def test_a_listing_from_before_is_not_believed(s3, source, lenient):
    """A name that was taken and is free now, and one that was free and is taken now."""
    s3.lenient = lenient
    target, outside = s3.path("lake/x.csv"), s3.path("lake/x.csv", use_listings_cache=False)
    outside.write_bytes(b"old")
    assert target.fs.ls("lake", detail=False) == ["lake/x.csv"]
    outside.unlink()
    assert publish(source, target, overwrite=False).bytes == len(CONTENT)
    outside.unlink()
    target.fs.invalidate_cache()
    assert target.fs.ls("lake", detail=False) == []
    outside.write_bytes(b"old")
    with pytest.raises(PublishError, match=r"s3://lake/x\.csv exists already"):
        publish(source, target, overwrite=False)
    assert stored(s3, "lake/x.csv") == b"old"


def test_who_wins_a_race_is_known_to_the_store(s3, source, monkeypatch):
    """Somebody puts the object between the look and the upload: it is kept."""
    target = s3.path("lake/x.csv")
    look = target.fs.exists

    def slow_look(path):
        result = look(path)
        s3.path("lake/x.csv", use_listings_cache=False).write_bytes(b"theirs")
        return result

    monkeypatch.setattr(target.fs, "exists", slow_look)
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, target, overwrite=False)
    assert stored(s3, "lake/x.csv") == b"theirs"


def test_a_bucket_or_folder_is_not_an_object(s3, source):
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


class Refusing(MemoryFileSystem):
    """A store that does not rename over a file, and says so (SMB, HDFS)."""

    protocol, store, pseudo_dirs = "refusing", {}, [""]

    def mv(self, path1, path2, **options):
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2, **options)


class Silent(MemoryFileSystem):
    """A store that does not rename over a file, and says nothing (WebHDFS)."""

    protocol, store, pseudo_dirs = "silent", {}, [""]

    def mv(self, path1, path2, **options):
        if not self.exists(path2):
            super().mv(path1, path2, **options)


class Copying(MemoryFileSystem):
    """A store whose move is a copy, after which what was moved is still there."""

    protocol, store, pseudo_dirs = "copying", {}, [""]

    def mv(self, path1, path2, **options):
        self.cp_file(path1, path2)


class Losing(MemoryFileSystem):
    """A store that moves another file of the same size."""

    protocol, store, pseudo_dirs = "losing", {}, [""]

    def mv(self, path1, path2, **options):
        if path1.endswith(".partial") and not path2.endswith(".partial"):
            self.pipe_file(path1, bytes(self.size(path1)))
        super().mv(path1, path2, **options)


class Stuck(Refusing):
    """A store that lets a file be set aside, and then refuses so many renames."""

    protocol, store, pseudo_dirs = "stuck", {}, [""]
    failures = 0

    def mv(self, path1, path2, **options):
        if self.failures and path2 == "/lake/x.csv" and not self.exists(path2):
            self.failures -= 1
            raise PermissionError(path2)
        super().mv(path1, path2, **options)


@pytest.mark.parametrize("kind", [MemoryFileSystem, Refusing, Silent, Copying])
def test_the_same_name_is_replaced_in_every_store(source, kind):
    """Whatever its rename does with a file that is there: the new one stands, and nothing beside it."""
    target = RemotePath(kind(), "/every/x.csv")
    for content in (CONTENT, b"a" * 9, b"b" * 9, b"b" * 9):
        source.write_bytes(content)
        assert publish(source, target).bytes == len(content)
        assert target.fs.cat_file("/every/x.csv") == content
        assert target.fs.find("/every") == ["/every/x.csv"]
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, target, overwrite=False)
    assert target.fs.find("/every") == ["/every/x.csv"]


def test_a_move_is_looked_at_more_closely_than_by_size(source):
    """As many bytes, and others: it is not taken for the file."""
    fs = Losing()
    with pytest.raises(PublishError, match="does not hold what was written"):
        publish(source, RemotePath(fs, "/lake/x.csv"))
    assert not [path for path in fs.find("/lake") if path.endswith(".partial")]


def test_a_file_that_was_set_aside_comes_back(source):
    """The second rename fails: the old file stands again, and nothing beside it."""
    fs = Stuck()
    source.write_bytes(b"old")
    publish(source, RemotePath(fs, "/lake/x.csv"))
    source.write_bytes(b"new")
    fs.failures = 1
    with pytest.raises(PublishError, match="PermissionError"):
        publish(source, RemotePath(fs, "/lake/x.csv"))
    assert fs.cat("/lake/x.csv") == b"old"
    assert fs.find("/lake") == ["/lake/x.csv"]


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (
            "sftp://ann:s3cr3t@files.example.org/lake/x.csv",
            "sftp://ann@files.example.org/lake/x.csv",
        ),
        ("smb://wg;ann:p/w@nas:4450/lake/a@b.csv", "smb://wg;ann@nas:4450/lake/a@b.csv"),
        ("ftp://files.example.org:2121/x.csv", "ftp://files.example.org:2121/x.csv"),
        ("hdfs://nn:8020/lake/x.csv", "hdfs://nn:8020/lake/x.csv"),
        (
            "abfs://lake@acct.dfs.core.windows.net/x.csv",
            "abfs://lake@acct.dfs.core.windows.net/x.csv",
        ),
        ("s3://lake/a:b@c.csv", "s3://lake/a:b@c.csv"),
    ],
)
def test_the_uri_keeps_the_host_and_not_the_password(text, uri):
    """What was written can be opened again by it; nobody reads a password in it."""
    assert RemotePath(MemoryFileSystem(), "/x.csv", text).uri == uri
    for kind in (f"{text}/", text.replace("s3://lake/a", "s3://")):
        if kind.endswith("/"):
            with pytest.raises(PublishError) as reported:
                publish(Path("x"), kind)
            assert "s3cr3t" not in str(reported.value)
            assert "p/w" not in str(reported.value)


def test_a_file_system_that_knows_its_host_gives_it(source):
    """Where there is no text, host and port are those that it was opened with."""

    class Hosted(MemoryFileSystem):
        protocol, cachable = "hosted", False

    for options, uri in (
        ({"host": "nas"}, "hosted://nas/lake/x.csv"),
        ({"host": "nas", "port": 4450}, "hosted://nas:4450/lake/x.csv"),
        ({"host": "fe80::1"}, "hosted://[fe80::1]/lake/x.csv"),
        ({"host": "default"}, "hosted:///lake/x.csv"),
        ({}, "hosted:///lake/x.csv"),
    ):
        assert publish(source, RemotePath(Hosted(**options), "/lake/x.csv")).uri == uri


def test_what_a_driver_says_is_reported_without_secrets(source):
    """Some repeat the address or the options that they were given."""

    class Talking(MemoryFileSystem):
        protocol, cachable = "talking", False

        def put_file(self, *_, **__):
            raise OSError(f"login to sftp://ann:hunter2@nas failed with {self.storage_options}")

    fs = Talking(host="nas", username="ann", password="hunter3", sas_token="a/b==")
    with pytest.raises(PublishError, match="login to sftp://ann@nas failed") as reported:
        publish(source, RemotePath(fs, "/x.csv"))
    assert not [name for name in ("hunter", "a/b==") if name in str(reported.value)]


def test_a_store_that_refuses_access_is_reported_without_the_password(source):
    """A server that is not there, by text and by an object that opens it when it is asked."""

    class Late:
        path = "/x.csv"

        @property
        def fs(self):
            raise TimeoutError("no way to ftp://ann:hunter2@127.0.0.1:1")

        def __str__(self):
            return "ftp://ann:hunter2@127.0.0.1:1/x.csv"

    for destination in ("ftp://ann:hunter2@127.0.0.1:1/x.csv", Late()):
        with pytest.raises(
            PublishError, match=r"ftp://ann@127\.0\.0\.1:1/x\.csv cannot be opened"
        ) as reported:
            publish(source, destination)
        assert "hunter2" not in str(reported.value)


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


CANARY = "c4nary/S3CR3T"
SECRET_ADDRESSES = [
    f"ftp://ann:{CANARY}@127.0.0.1:1/lake/x.csv",
    f"ftp://ann@127.0.0.1:1/x.csv?password={CANARY}",
    f"ftp://ann:{quote(CANARY, safe='')}@127.0.0.1:1/x.csv",
    f"sftp:///ann:{CANARY}@127.0.0.1/x.csv",
    f"nosuch://ann:{CANARY}@nas/x.csv",
    f"https://ann:{CANARY}@nas/x.csv",
    f"file://ann:{CANARY}@nas/x.csv",
    f"s3://AKIA:{quote(CANARY, safe='')}@lake/x.csv",
    f"s3://lake/x.csv?X-Amz-Signature={CANARY}",
    f"s3://lake?sig={CANARY}",
    f"memory://lake/?sv=1&sig={CANARY}/",
    f"simplecache::ftp://ann:{CANARY}@127.0.0.1:1/x.csv",
]


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_no_error_reveals_the_secrets_of_an_address(source, address, monkeypatch):
    """Neither its message nor what it names as its cause, whatever is done with the address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for attempt in (
        lambda: publish(source, address),
        lambda: sweep(address, older_than=timedelta(0)),
        lambda: Note(address, source).require_own("one"),
        lambda: database_file(address),
    ):
        try:
            attempt()
        except OrchestrationError as problem:
            displayed = "".join(traceback.format_exception(problem))
            assert "S3CR3T" not in displayed


def test_an_address_with_a_signature_is_reported_without_it(source):
    """What was written is named, and the signature is not."""
    done = publish(source, "memory://lake/x.csv?sv=1&sig=c4nary&se=2")
    assert done.uri == "memory://lake/x.csv?sv=1&sig=***&se=2"


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("at postgresql://ann:a:b@nas:5432/db?sslpassword=hunter2", "at postgresql://ann@nas"),
        ("host=nas password='it\\'s hunter2' user=ann", "user=ann"),
        ("DSN=x;UID=ann;PWD=hunter2;Port=1", ";Port=1"),
        ("s3://lake/a:b@c.csv has 12:30:01 in it, see http://h:8080/x@y", "see http://h:8080/x@y"),
    ],
)
def test_our_errors_repeat_no_password_of_anybody(message, kept):
    """A driver's or a caller's words go into our errors without the secrets of the addresses in them."""
    problem = StorageError(message)
    assert "hunter2" not in str(problem)
    assert "a:b@n" not in str(problem)
    assert kept in str(problem)
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)
