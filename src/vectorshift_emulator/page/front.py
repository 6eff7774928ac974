"""The routes of the front page: `/` for a browser, and below /_page its files, its figures and what it may change.

It takes neither the key nor the control token, so it shows no event, and is careful about whom it
listens to: a page of another site may neither read it (it could reach it by a name of its own that
leads here) nor change anything, and nobody but this machine may.
"""

import functools
import ipaddress
import json
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vectorshift_emulator._service import Service
from vectorshift_emulator.api import replies
from vectorshift_emulator.control import surface
from vectorshift_emulator.page.figures import Held, choices, state

PREFIX = "/_page"
MOST_BURST = 10_000

_FILES = {"style.css": "text/css", "page.js": "text/javascript", "dom.js": "text/javascript"}
_ACTIONS = {
    ("POST", "/faults"),
    ("DELETE", "/faults"),
    ("POST", "/settings"),
    ("POST", "/burst"),
    ("POST", "/expire-urls"),
    ("POST", "/reset"),
}
"""The commands of the control surface that the page may give: none that shows or writes rows."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Front:
    """`/`: the page where a browser asks for it, and what the service answers there to all others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        accepted = [
            part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")
        ]
        if request.method not in ("GET", "HEAD") or "text/html" not in accepted:
            raise HTTPException(404)
        await (_stranger(request) or _file("index.html", "text/html"))(scope, receive, send)


def routes(service: Service) -> list[Route]:
    """The routes of the page."""
    held = Held(service.store)

    async def figures(request: Request) -> Response:
        shown = functools.partial(state, service, held, list(service.exchanges))
        return _stranger(request) or _json(
            {**await service.store.run(shown), "may_change": _is_local(request)}
        )

    async def chosen(request: Request) -> Response:
        return _stranger(request) or _json(choices())

    async def action(request: Request) -> Response:
        path = request.url.path.removeprefix(PREFIX)
        if refused := _stranger(request) or _refusal(request):
            return refused
        try:
            raw = json.loads(await request.body() or b"{}")
            if path == "/burst" and not 1 <= int(raw["count"]) <= MOST_BURST:
                raise surface.BadCommand(f"a burst has 1 to {MOST_BURST:,} runs")
            command = surface.COMMANDS[request.method, path]
            return _json(await service.store.run(command, service, raw))
        except (ValueError, TypeError, LookupError) as error:
            return _json({"error": str(error)}, 400)

    def sent(name: str, media_type: str) -> Any:
        async def file(request: Request) -> Response:
            return _stranger(request) or _file(name, media_type)

        return file

    return [
        Route("/", Front()),
        *(Route(f"{PREFIX}/{name}", sent(name, type_)) for name, type_ in _FILES.items()),
        Route(f"{PREFIX}/state", figures),
        Route(f"{PREFIX}/choices", chosen),
        *(Route(f"{PREFIX}{path}", action, methods=[method]) for method, path in _ACTIONS),
    ]


def _stranger(request: Request) -> Response | None:
    """The refusal of a request under a name that anybody could have pointed here (DNS rebinding)."""
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        own = "." not in name or name.endswith(".localhost") or bool(ipaddress.ip_address(name))
    except ValueError:
        own = False
    if own:
        return None
    text = "The emulator's page is opened by the address of its machine, such as http://127.0.0.1:<port>/."
    return PlainTextResponse(text, 403, _HEADERS)


def _is_local(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


def _refusal(request: Request) -> Response | None:
    """The refusal of a change that did not come from the page itself, on this machine."""
    if urlsplit(request.headers.get("origin", "")).netloc != request.headers.get("host"):
        return _json({"error": "changes are taken from the emulator's own page only"}, 403)
    if not _is_local(request):
        text = "changes are taken from the emulator's own machine; elsewhere, by /_control and its token"
        return _json({"error": text}, 403)
    return None


def _file(name: str, media_type: str) -> Response:
    text = files("vectorshift_emulator.page").joinpath(name).read_text(encoding="utf-8")
    return Response(text, media_type=media_type, headers=_HEADERS)


def _json(value: Any, status: int = 200) -> Response:
    return Response(replies.compact(value), status, _HEADERS, "application/json")
