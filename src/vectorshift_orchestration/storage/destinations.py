"""Where a file can be published: a local path, or anything that fsspec reaches.

A text with a scheme is opened by fsspec's own rules (environment, `~/.config/fsspec`); what follows
the scheme is taken as it is, with no percent-encoding, and results are named the same way. An object
with `fs` and `path` is taken as it is: a `UPath`, and what is built on it, such as Airflow's
`ObjectStoragePath` with its connection.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from vectorshift_orchestration.addresses import (
    SECRET_NAME,
    cause,
    forms,
    redacted,
    secrets_of,
    without_secrets,
)
from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.windows import Window

_ONE_PUT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"})
_EXCLUSIVE_PUT = frozenset({"s3", "s3a", "gs", "gcs"})
_LOCAL = frozenset({"file", "local"})
_WEB = frozenset({"http", "https", "data"})
_SECRET = re.compile(SECRET_NAME, re.IGNORECASE)
_SEGMENT = re.compile(r"(?!\.)[\w.=+@ -]{1,200}(?<![. ])")


class FsspecPath(Protocol):
    """A path that knows its file system, as a `UPath` does."""

    @property
    def fs(self) -> Any:
        """The fsspec file system."""

    @property
    def path(self) -> str:
        """The path in it."""


Destination: TypeAlias = "str | PathLike[str] | FsspecPath"
Root = TypeVar("Root")


class RemotePath(Struct, frozen=True):
    """A path in an fsspec file system; `text` is how it was written, if it was a text."""

    fs: Any
    path: str
    text: str | None = None

    @property
    def uri(self) -> str:
        """The path with its scheme and host; it holds no secret."""
        if self.text is not None:
            return without_secrets(self.text)
        uri = without_secrets(str(self.fs.unstrip_protocol(self.path)))
        host = _host(self.fs)
        if self.one_put or not host:
            return uri
        scheme, _, rest = uri.partition("://")
        return f"{scheme}://{host}/{rest.lstrip('/')}"

    @property
    def protocols(self) -> frozenset[str]:
        """The name of the file system."""
        return frozenset(_protocols(self.fs))

    @property
    def one_put(self) -> bool:
        """Whether an upload is invisible until it is complete, as in object stores."""
        return not _ONE_PUT.isdisjoint(self.protocols)

    @property
    def exclusive_put(self) -> bool:
        """Whether an upload can be made on the condition that nothing is there."""
        return not _EXCLUSIVE_PUT.isdisjoint(self.protocols)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What this file system, or the text, keeps secret."""
        options = getattr(self.fs, "storage_options", None) or {}
        values = [
            value
            for name, value in options.items()
            if _SECRET.fullmatch(name) and isinstance(value, str)
        ]
        return (*forms(*values), *secrets_of(self.text or ""))

    def redacted(self, problem: Exception) -> str:
        """A driver's error as text, without the secrets."""
        return redacted(f"{type(problem).__name__}: {problem}", *self.secrets)

    def cause(self, problem: Exception) -> Exception | None:
        """A driver's error, unless it would reveal a secret."""
        return cause(problem, *self.secrets)


def file_uri(path: Path) -> str:
    """A local path with its scheme, as fsspec and `UPath` write and open it: nothing is encoded."""
    return f"file://{path.as_posix()}"


def uri_of(destination: Destination) -> str:
    """The URI of a path or of what fsspec reaches, without any secret. Raises as `resolved`."""
    target = resolved(destination)
    return file_uri(target) if isinstance(target, Path) else target.uri


def as_text(path: Any) -> Any:
    """A `Path` or a `UPath` as the text that it was written as; anything else as it is.

    Raises ValueError for a `UPath` with storage options, which a text does not keep.
    """
    if getattr(path, "storage_options", None):
        raise ValueError(
            "a UPath with storage options cannot be kept as a text, because they may hold "
            "credentials. Set them in the environment or in ~/.config/fsspec."
        )
    is_path = isinstance(path, PathLike) or hasattr(path, "storage_options")
    return str(path) if is_path else path


def resolved(destination: Destination) -> Path | RemotePath:
    """The absolute local path that a destination means (`~` is the home directory), or the remote one.

    Raises `PublishError` for a scheme that nobody serves, a web address, another host's file, and what
    cannot be opened.
    """
    if not isinstance(destination, str):
        with _opening(str(destination)):
            fs = getattr(destination, "fs", None)
        path = getattr(destination, "path", None)
        if fs is not None and isinstance(path, str):
            return _of(fs, path)
        if not isinstance(destination, PathLike):
            raise PublishError(
                f"A destination is a path, a URI, or an object with fs and path, not "
                f"{type(destination).__name__}."
            )
    text = os.fspath(destination)
    _require_storage(text)
    if "://" not in text:
        return Path(text).expanduser().absolute()
    scheme, _, rest = text.partition("://")
    if scheme != "file":
        return _opened(text, scheme)
    return Path(rest.removeprefix("localhost")).absolute()


def _require_storage(text: str) -> None:
    if not text or "\0" in text:
        raise PublishError("The destination is empty or holds a NUL character. Name a file.")
    scheme, separator, rest = text.partition("://")
    if separator and scheme in _WEB:
        raise PublishError(f"{scheme}:// is not a storage. Give a path or an object store's URI.")
    if separator and scheme == "file" and not rest.removeprefix("localhost").startswith("/"):
        raise PublishError(f"{text} names another host. Write file:///path with three slashes.")


def require_file(text: str) -> None:
    """Check a file's path or URI without opening anything.

    Raises `PublishError` for an empty text, a scheme without storage, and an address of a folder or a bucket.
    """
    _require_storage(text)
    scheme, separator, rest = text.partition("://")
    is_bucket = bool(separator) and scheme in _ONE_PUT and "/" not in rest.strip("/")
    if text.endswith("/") or is_bucket:
        raise PublishError(f"{text} is a folder or a bucket. Name the file in it.")


def file_target(destination: Destination) -> Path | RemotePath:
    """The same for a file. Raises `PublishError` also for what can only be a folder or a bucket."""
    if isinstance(destination, str):
        require_file(destination)
    target = resolved(destination)
    if isinstance(target, RemotePath):
        key = target.path.strip("/")
        if not key or (target.one_put and "/" not in key):
            raise PublishError(f"{target.uri} is a folder or a bucket. Name the file in it.")
    return target


def partition_path(root: Root, table: str, window: Window, extension: str) -> Root:
    """The one name of a window's file: `root/table/dt=2026-11-22/part-0.csv`.

    It depends on nothing else, so running a window again writes over its file. A window that is
    not a whole UTC day has both ends in its name. `root` is a text, a path or a `UPath`, and so is
    the result. Raises `PublishError` for a table or extension that cannot be part of a path.
    """
    for part in (table, extension):
        if not _SEGMENT.fullmatch(part):
            raise PublishError(
                f"{part!r} cannot be part of a path. Use letters, digits, dot, hyphen, underscore."
            )
    parts = (table, f"dt={window.label}", f"part-0.{extension.lower()}")
    if isinstance(root, str):
        if not root:
            raise PublishError("The root is empty. Name a folder, '.' for the current one.")
        return "/".join((root.removesuffix("/"), *parts))  # type: ignore[return-value]  # text too
    path: Any = root
    for part in parts:
        path = path / part
    joined: Root = path
    return joined


def _host(fs: Any) -> str:
    """Host and port, where the file system has them; an object store has a bucket in the path."""
    options = getattr(fs, "storage_options", None) or {}
    host, port = (options.get(name) or getattr(fs, name, None) for name in ("host", "port"))
    if not isinstance(host, str) or host == "default":  # what HDFS takes out of its own settings
        return ""
    if ":" in host:
        host = f"[{host}]"
    return f"{host}:{port}" if "port" in options and port else host


def _of(fs: Any, path: str, text: str | None = None) -> Path | RemotePath:
    if not _LOCAL.isdisjoint(_protocols(fs)):
        return Path(path).absolute()
    if not _WEB.isdisjoint(_protocols(fs)):
        raise PublishError("A web address is not a storage. Give a path or an object store's URI.")
    return RemotePath(fs, path, text)


def _protocols(fs: Any) -> Iterable[str]:
    protocol = fs.protocol
    return (protocol,) if isinstance(protocol, str) else protocol


def _opened(text: str, scheme: str) -> Path | RemotePath:
    try:
        import fsspec
    except ImportError:
        raise PublishError(
            f"{scheme}:// needs fsspec. Install vectorshift-orchestration[arrow]."
        ) from None
    with _opening(text):
        fs, path = fsspec.core.url_to_fs(text)
    return _of(fs, path, text)


@contextmanager
def _opening(text: str) -> Iterator[None]:
    """The errors of a driver that is missing or cannot connect, as `PublishError`."""
    try:
        yield
    except (ImportError, ValueError) as problem:
        scheme = text.partition("://")[0]
        raise PublishError(
            f"{scheme}:// destinations cannot be opened here: {redacted(problem, *secrets_of(text))}. For "
            "s3:// install vectorshift-orchestration[s3]; for others, their fsspec driver."
        ) from None
    except Exception as problem:  # noqa: BLE001  # every driver has its own
        reason = redacted(f"{type(problem).__name__}: {problem}", *secrets_of(text))
        raise PublishError(
            f"{text} cannot be opened: {reason}. Check address and credentials, then run again."
        ) from cause(problem, *secrets_of(text))
