"""A real S3-compatible server on a free port, whose answers to uploads can be spoiled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from s3fs import S3FileSystem
from upath import UPath
from werkzeug.serving import WSGIRequestHandler, make_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
NOT_KNOWN = b"<Error><Code>NotImplemented</Code><Message>A header is not known.</Message></Error>"
FAILED = b"<Error><Code>InternalError</Code><Message>We failed.</Message></Error>"


class _Quiet(WSGIRequestHandler):
    def log(self, *args: Any) -> None:
        """Requests are not printed."""


class S3Server:
    """`before` uploads get an error and are not stored; `after` uploads are stored, then get it.

    `write_only` is a key that may put objects and nothing else; `lenient` a store that takes no
    conditions for an upload. `methods` counts the requests by method.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.port = 0
        self.reset()

    def reset(self) -> None:
        """Spoil nothing."""
        self.before = self.after = self.parts = 0
        self.write_only = self.lenient = False
        self.methods: dict[str, int] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request."""
        method = environ["REQUEST_METHOD"]
        self.methods[method] = self.methods.get(method, 0) + 1
        is_upload = method == "PUT" and environ["PATH_INFO"].count("/") > 1
        if self.write_only and not is_upload:
            return self._refuse(environ, start_response, "403 Forbidden", DENIED)
        if self.lenient and "HTTP_IF_NONE_MATCH" in environ:
            return self._refuse(environ, start_response, "501 Not Implemented", NOT_KNOWN)
        if is_upload and "partNumber=2" in environ["QUERY_STRING"] and self.parts > 0:
            self.parts -= 1
            return self._refuse(environ, start_response, "500 Internal Server Error", FAILED)
        if is_upload and self.before > 0:
            self.before -= 1
            return self._refuse(environ, start_response, "503 Slow Down", SLOW_DOWN)
        if is_upload and self.after > 0:
            self.after -= 1
            list(self._app(environ, lambda *_: None))
            start_response("500 Internal Server Error", [("Content-Length", str(len(FAILED)))])
            return [FAILED]
        return self._app(environ, start_response)

    def _refuse(self, environ: Any, start_response: Any, status: str, body: bytes) -> list[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(status, [("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def variables(self) -> dict[str, str]:
        """The environment in which a plain s3:// address leads here; drivers of an earlier one are forgotten."""
        S3FileSystem.clear_instance_cache()
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }

    def path(self, key: str, **options: Any) -> UPath:
        """A path on this server; its driver tries once."""
        path = UPath(
            f"s3://{key}",
            key="testing",
            secret="testing",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            client_kwargs={"region_name": "eu-west-1"},
            config_kwargs={"retries": {"max_attempts": 0}},
            **options,
        )
        path.fs.retries = 1
        return path


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Serve until the block ends, at first without buckets: the servers of a process, one after the other, share a store."""
    s3_backends.reset()
    app = S3Server()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    app.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
