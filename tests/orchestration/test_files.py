"""Publishing: a file is there whole or not at all, and nothing is left lying about."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys

import fsspec
import pytest
from upath import UPath

from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.storage.files import publish

CONTENT = os.urandom(3 << 19)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def test_the_file_arrives_with_its_checksum(tmp_path, source):
    """Folders are made, bytes and SHA-256 are those of the source, which stays."""
    seen = []
    target = tmp_path / "a" / "b c" / "2026-11-22.csv"
    done = publish(source, target, progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert done.bytes == len(CONTENT) == seen[-1]
    assert done.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert done.uri == f"file://{target}"
    assert source.exists()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("name", ["dt=2026-11-22", "b c", "100%25", "é#1?x=y"])
def test_a_uri_names_the_same_file_as_a_path(tmp_path, source, name):
    """What publish returns can be given to publish, and opened by fsspec and UPath."""
    target = tmp_path / name / "x.csv"
    first = publish(source, str(target))
    assert first.uri == f"file://{target}"
    assert publish(source, first.uri) == first
    with fsspec.open(first.uri, "rb") as file:
        assert file.read() == CONTENT
    assert UPath(first.uri).read_bytes() == CONTENT
    assert publish(source, f"file://localhost{tmp_path}/other.csv").uri.endswith("/other.csv")


def test_the_home_directory_may_be_written_short(tmp_path, source, monkeypatch):
    """`~` is the home directory, as in a path to DuckDB, and not a folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert publish(source, "~/out/events.csv").uri == f"file://{tmp_path}/out/events.csv"
    assert not (tmp_path / "~").exists()


def test_an_existing_file_is_replaced_or_kept(tmp_path, source):
    """Overwriting is the default; with overwrite=False the old file stays, with an error."""
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, target, overwrite=False)
    assert target.read_text() == "old"
    publish(source, target)
    assert target.read_bytes() == CONTENT
    publish(source, tmp_path / "new.csv", overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "out.csv", "source"]


@pytest.mark.parametrize(
    ("destination", "part"),
    [
        ("nope://bucket/key", r"nope:// destinations cannot be opened here.*\[s3\]"),
        ("gs://bucket/key", "gcsfs"),
        ("https://example.org/x", "https:// is not a storage"),
        ("file://elsewhere/x", "another host"),
        ("", "empty"),
        ("a\0b", "NUL"),
        (7, "not int"),
    ],
)
def test_other_schemes_are_refused_in_a_sentence(source, destination, part):
    """What cannot be written to says why, or what it needs."""
    with pytest.raises(PublishError, match=part):
        publish(source, destination)


def test_a_folder_is_not_a_file(tmp_path, source):
    """A destination that is a folder is refused instead of guessed at."""
    with pytest.raises(PublishError, match="is a folder"):
        publish(source, tmp_path)


def test_a_link_is_followed(tmp_path, source):
    """The file behind the link is replaced, in its own folder; the link stays, and so does the uri."""
    real, link = tmp_path / "real" / "x.csv", tmp_path / "links" / "x.csv"
    link.parent.mkdir()
    link.symlink_to("../real/x.csv")
    for content in (CONTENT, b"second"):
        source.write_bytes(content)
        assert publish(source, link).uri == f"file://{link}"
        assert link.is_symlink()
        assert real.read_bytes() == content
        assert [path.name for path in real.parent.iterdir()] == ["x.csv"]
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, link, overwrite=False)
    link.unlink()
    link.symlink_to("x.csv")
    with pytest.raises(PublishError, match="leads to itself"):
        publish(source, link)
    link.unlink()
    link.symlink_to("../real")
    with pytest.raises(PublishError, match="is a folder"):
        publish(source, link)


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, source):
    """Who could read it can read it still; a new file gets what the umask leaves."""
    target = tmp_path / "x.csv"
    publish(source, target)
    (tmp_path / "new").touch()
    assert target.stat().st_mode == (tmp_path / "new").stat().st_mode
    for mode in (0o640, 0o444, 0o666):
        target.chmod(mode)
        publish(source, target)
        assert stat.S_IMODE(target.stat().st_mode) == mode


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path, source):
    """A pipe or a device is somebody's; renaming a file over it would take it away."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(PublishError, match="not a regular file"):
        publish(source, pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("problem", [errno.EINVAL, errno.EACCES, errno.EIO, errno.ENOTSUP])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_cannot_be_flushed_has_the_file(tmp_path, source, monkeypatch, call, problem):
    """After the rename it is published; whether it survives a power failure is all that is open."""
    original, folder = getattr(os, call), tmp_path / "out"
    target = folder / "x.csv"

    def refuse(place, *rest, **options):
        name = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else place
        if str(name) == str(folder):
            raise OSError(problem, os.strerror(problem), str(name))
        return original(place, *rest, **options)

    monkeypatch.setattr(os, call, refuse)
    assert publish(source, target).uri == f"file://{target}"
    assert [path.name for path in folder.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("problem", [errno.EINVAL, errno.ENOTSUP])
def test_a_mounted_store_without_flush_and_links_is_written_to(
    tmp_path, source, monkeypatch, problem
):
    """It keeps what it has in its own way; a disk that fails while it flushes is another thing."""
    target = tmp_path / "out" / "x.csv"

    def refusing(number):
        def refuse(*_):
            raise OSError(number, os.strerror(number))

        return refuse

    monkeypatch.setattr(os, "fsync", refusing(problem))
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    publish(source, target, overwrite=False)
    with pytest.raises(PublishError, match="overwrite is off"):
        publish(source, target, overwrite=False)
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    source.write_bytes(b"new")
    with pytest.raises(PublishError, match="Input/output error"):
        publish(source, target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["x.csv"]


def test_a_destination_that_cannot_be_made_is_named(tmp_path, source):
    """A file where a folder should be is the operating system's refusal, in our words."""
    with pytest.raises(PublishError, match="could not be written"):
        publish(source, source / "below" / "x.csv")


def test_a_stop_in_the_middle_leaves_nothing(tmp_path, source):
    """Whatever interrupts the copy, the old file stands and no temporary one is left."""
    target = tmp_path / "out" / "x.csv"
    target.parent.mkdir()
    target.write_text("old")

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(source, target, progress=stop)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["x.csv"]


def test_a_full_disk_publishes_nothing(tmp_path, source):
    """When the file may not grow, there is no final file, no temporary one, and a clear error."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from vectorshift_orchestration.errors import PublishError\n"
        "from vectorshift_orchestration.storage.files import publish\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    publish(Path(sys.argv[1]), sys.argv[2])\n"
        "except PublishError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "out" / "x.csv"
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(target)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "File too large. Nothing was published; make room" in done.stdout
    assert list(target.parent.iterdir()) == []
