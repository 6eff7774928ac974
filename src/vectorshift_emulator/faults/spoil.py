"""What a fault does to a request: it replies instead of the app, or spoils the app's reply.

The reply is changed as it streams, so nothing large is held. What HTTP cannot say (a reset, a body
that ends early) is done on the socket.
"""

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vectorshift_emulator.faults.connections import Connections
from vectorshift_emulator.faults.faults import Fault

ON_THE_WAY = ("short_file", "first_page")
"""Faults that the route itself commits: it finds them in the scope of its request."""

_DRIP_SECONDS = 0.1


async def spoiled(
    fault: Fault,
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    connections: Connections,
    files: Path,
) -> None:
    """Answer one request of `app` as the fault wants it.

    Args:
        connections: the sockets behind the requests.
        files: the directory of the export files.
    """
    canned = _wrong_file(scope, files) if fault.kind == "wrong_file" else _canned(fault)
    if canned is not None:
        await canned(scope, receive, send)
        return
    if fault.kind in ("hang", "reset") and fault.fraction is None:
        if fault.kind == "reset":
            connections.reset(scope)
        await _disconnected(receive)
        return
    if fault.kind in ON_THE_WAY:
        scope[fault.kind] = 0.5 if fault.fraction is None else fault.fraction
    if fault.kind == "delay":
        await asyncio.sleep(fault.seconds)
    passing = _passing(fault, scope, receive, send, connections)
    await app(scope, receive, passing)
    if isinstance(passing, _Cut) and passing.broken:
        await _disconnected(receive)


def _canned(fault: Fault) -> Response | None:
    """The reply of a fault that answers in the app's place."""
    match fault.kind:
        case "status":
            text = fault.body or _failed(f"injected status {fault.code}")
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return Response(text, fault.code, headers, media_type="application/json")
        case "failed_200":
            text = _failed(fault.body or "injected failure")
            return Response(text, media_type="application/json")
        case "html_200":
            return HTMLResponse(fault.body or "<html><body>Please log in</body></html>")
        case "empty_200":
            return Response(b"", media_type="application/json")
        case "not_json":
            return Response(fault.body or '{"status": "succ', media_type="application/json")
        case "expired":
            return Response(_failed("the URL has expired"), 403)
    return None


def _failed(error: str) -> str:
    """The service's reply about what failed."""
    return _compact({"status": "failed", "error": error})


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _wrong_file(scope: Scope, files: Path) -> Response:
    """The newest file of another export, with honest headers."""
    task_id = scope["path_params"]["task_id"]
    others = [file for file in files.iterdir() if file.stem != task_id]
    if not others:
        return Response(b"the file of somebody else\n", media_type="text/plain")
    return FileResponse(max(others, key=lambda file: file.stat().st_mtime_ns))


def _passing(
    fault: Fault, scope: Scope, receive: Receive, send: Send, connections: Connections
) -> Send:
    """The `send` that spoils what the app sends, or passes it on untouched."""
    match fault.kind:
        case "truncate" | "hang" | "reset":
            return _Cut(fault, scope, receive, send, connections)
        case "flip_byte":
            return _Flip(fault, send)
        case "wrong_etag":
            return _Etag(fault, send)
        case "drip":
            return _Drip(fault, send)
        case "never_ready" | "task_failed" | "ready_without_url":
            return _Task(fault, send)
    return send


async def _disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _length(start: Message) -> int:
    """The length of the body that a reply announces."""
    return int(MutableHeaders(raw=start["headers"]).get("content-length", "0"))


class _Cut:
    """Sends a share of the body; then ends it, resets the connection, or says nothing more."""

    def __init__(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send, connections: Connections
    ) -> None:
        self.broken = False
        """Whether the reply was ended on the socket, unknown to the server."""
        self._fault = fault
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connections = connections
        self._left = 0
        self._over = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on, or a part of it."""
        if self._over:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        body = message.get("body", b"")
        self._over = len(body) >= self._left or not message.get("more_body", False)
        part, self._left = body[: self._left], self._left - len(body)
        await (self._end(part) if self._over else self._part(part))

    async def _begin(self, start: Message) -> None:
        length = _length(start)
        fraction = 0.5 if self._fault.fraction is None else self._fault.fraction
        self._left = int(length * fraction)
        if self._fault.kind == "reset" and not self._left:
            self._over = self.broken = True
            self._connections.reset(self._scope)
            return
        headers = MutableHeaders(raw=start["headers"])
        match self._framing:
            case "honest":
                headers["content-length"] = str(self._left)
            case "chunked":
                del headers["content-length"]
            case "close":
                del headers["content-length"]
                headers["connection"] = "close"
                self._write(_head(start))
                return
        await self._send(start)

    @property
    def _framing(self) -> str:
        return self._fault.framing if self._fault.kind == "truncate" else "lying"

    async def _part(self, part: bytes) -> None:
        if self._framing == "close":
            self._write(part)
            return
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def _end(self, part: bytes) -> None:
        if self._framing in ("honest", "chunked"):
            await self._send({"type": "http.response.body", "body": part})
            return
        await self._part(part)
        self.broken = True
        if self._fault.kind == "reset":
            self._connections.reset(self._scope)
        elif self._fault.kind == "truncate":
            self._connections.close(self._scope)

    def _write(self, data: bytes) -> None:
        self._connections.write(self._scope, data)


def _head(start: Message) -> bytes:
    """The head of a reply as bytes on the wire."""
    lines = [b"HTTP/1.1 %d Injected" % start["status"]]
    lines += [name + b": " + value for name, value in start["headers"]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class _Flip:
    """Inverts one byte of the body."""

    def __init__(self, fault: Fault, send: Send) -> None:
        self._fraction = 0.5 if fault.fraction is None else fault.fraction
        self._send = send
        self._position = 0

    async def __call__(self, message: Message) -> None:
        """Pass one message on, with its byte inverted if it holds that one."""
        if message["type"] == "http.response.start":
            length = _length(message)
            self._position = min(int(length * self._fraction), length - 1)
        else:
            body = message.get("body", b"")
            if 0 <= self._position < len(body):
                flipped = bytearray(body)
                flipped[self._position] ^= 0xFF
                message = {**message, "body": bytes(flipped)}
            self._position -= len(body)
        await self._send(message)


class _Etag:
    """Names another version of the file each time."""

    def __init__(self, fault: Fault, send: Send) -> None:
        self._etag = f'"changed-{fault.injected}"'
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Pass one message on, with the ETag replaced."""
        if message["type"] == "http.response.start":
            MutableHeaders(raw=message["headers"])["etag"] = self._etag
        await self._send(message)


class _Drip:
    """Sends the body slowly."""

    def __init__(self, fault: Fault, send: Send) -> None:
        self._size = max(1, int(fault.bytes_per_second * _DRIP_SECONDS))
        self._pause = self._size / fault.bytes_per_second
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Pass one message on, its body in small pieces."""
        body = message.get("body", b"")
        if message["type"] == "http.response.body":
            for start in range(0, len(body), self._size):
                piece = body[start : start + self._size]
                await self._send({**message, "body": piece, "more_body": True})
                await asyncio.sleep(self._pause)
            message = {**message, "body": b""}
        await self._send(message)


class _Task:
    """Tells another state of an export task than the true one."""

    def __init__(self, fault: Fault, send: Send) -> None:
        self._fault = fault
        self._send = send
        self._start: MutableMapping[str, Any] = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Hold the reply, which is small, then send it changed."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        body = _compact(rewritten(json.loads(self._body), self._fault)).encode()
        MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def rewritten(reply: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
    """The reply about an export task as the fault changes it; other replies as they are."""
    status = next((key for key in ("task_status", "taskStatus") if key in reply), None)
    if status is None:
        return dict(reply)
    rest = {
        key: value for key, value in reply.items() if key not in ("download_url", "downloadUrl")
    }
    match fault.kind:
        case "never_ready":
            return {**rest, status: "pending"}
        case "task_failed":
            return {**rest, status: "failed", "error": fault.body or "injected failure"}
    return {**rest, status: "ready"}
