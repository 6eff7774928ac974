"""The ASGI application: routes, and what all of them share: counting, faults, auth, rate limit."""

import asyncio
import contextlib
import functools
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from vectorshift_emulator._service import Service
from vectorshift_emulator.api import replies, routes
from vectorshift_emulator.api.conditions import FailedQuery
from vectorshift_emulator.api.limiter import Limiter
from vectorshift_emulator.api.protojson import InvalidRequest
from vectorshift_emulator.api.routes import Handler, json_reply
from vectorshift_emulator.control import surface
from vectorshift_emulator.data.arrivals import keep_arriving
from vectorshift_emulator.faults.spoil import spoiled
from vectorshift_emulator.page import front

API = "/v1/analytics"

ENDPOINTS: Mapping[str, tuple[str, str, Handler]] = {
    "count": ("POST", f"{API}/events/count", routes.count),
    "search": ("POST", f"{API}/events/search", routes.search),
    "aggregations": ("POST", f"{API}/aggregations", routes.aggregations),
    "tables": ("POST", f"{API}/tables", routes.tables),
    "export_create": ("POST", f"{API}/exports", routes.export_create),
    "export_poll": ("GET", f"{API}/exports/{{id:path}}", routes.export_poll),
    "trace": ("GET", f"{API}/traces/{{id:path}}", routes.trace),
    "event": ("GET", f"{API}/events/{{id:path}}", routes.event),
    "run_data": ("POST", f"{API}/run-data", routes.run_data),
    "download": ("GET", "/downloads/{task_id}/{file_name:path}", routes.download),
}
"""Method, path and handler of every route, by the name that counters and faults use."""


class Endpoint:
    """One route as an ASGI app: counted, perhaps spoiled by a fault, then answered."""

    def __init__(
        self, service: Service, limiter: Limiter, name: str, path: str, handler: Handler
    ) -> None:
        self._service = service
        self._limiter = limiter
        self._name = name
        self._prefix = path.partition("{")[0]
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._service.counters.requests[self._name] += 1
        scope["route_prefix"] = self._prefix

        exchange, began = self._service.exchange(scope["method"], scope["path"]), time.monotonic()

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif self._name == "download":
                self._service.counters.download_bytes += len(message.get("body", b""))
            await send(message)

        fault = self._service.faults.take(self._name)
        try:
            if fault is None:
                await self._answer(scope, receive, out)
            else:
                exchange.fault = fault.kind
                self._service.counters.faults_injected += 1
                sockets, files = self._service.connections, self._service.files
                await spoiled(fault, self._answer, scope, receive, out, sockets, files)
        finally:
            exchange.seconds = time.monotonic() - began

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            reply = self._refusal(request) or await self._handler(self._service, request)
        except InvalidRequest as error:
            reply = json_reply(replies.failed(str(error)), 400)
        except FailedQuery as error:
            reply = json_reply(replies.failed(str(error)))
        await reply(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """The reply to a request without a good key, or to one too many (docs/contract.md A6)."""
        if self._name == "download":
            return None
        problem = key_problem(request.headers.get("authorization"), self._service.api_key)
        if problem is not None:
            return json_reply(replies.compact({"error": problem}), 401)
        wait = self._limiter.wait(self._service.settings.rate_limit)
        if wait is None:
            return None
        refusal = json_reply(replies.compact({"error": "Rate limit exceeded"}), 429)
        refusal.headers["Retry-After"] = str(wait)
        return refusal


def key_problem(header: str | None, key: str) -> str | None:
    """What is wrong with an Authorization header, None when it carries `key`."""
    if header is None:
        return "Missing authorization header"
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token or " " in token:
        return "Invalid authorization header format"
    if not hmac.compare_digest(token.encode(), key.encode()):
        return "Invalid API key: this emulator was started with another one"
    return None


async def _no_route(service: Service, request: Request, error: Exception) -> Response:
    """The reply to a path or a method that the service does not have."""
    assert isinstance(error, HTTPException)
    service.exchange(request.method, request.url.path).status = error.status_code
    text = f"{request.method} {request.url.path}: {error.detail}"
    return json_reply(replies.failed(text), error.status_code)


async def _defect(request: Request, error: Exception) -> Response:
    """The reply to a request that the emulator could not deal with; the log has the traceback."""
    return json_reply(replies.failed(f"emulator defect: {type(error).__name__}: {error}"), 500)


def application(service: Service) -> Starlette:
    """The service's routes, the control surface and the front page as one ASGI app."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.connections.loop = asyncio.get_running_loop()
        arrivals = asyncio.create_task(keep_arriving(service.store, service.settings))
        yield
        arrivals.cancel()

    limiter = Limiter()
    endpoints = [
        Route(path, Endpoint(service, limiter, name, path, handler), methods=[method])
        for name, (method, path, handler) in ENDPOINTS.items()
    ]
    no_route = functools.partial(_no_route, service)
    errors: dict[Any, Any] = {HTTPException: no_route, Exception: _defect}
    return Starlette(
        routes=[*endpoints, *surface.routes(service), *front.routes(service)],
        exception_handlers=errors,
        lifespan=lifespan,
    )
