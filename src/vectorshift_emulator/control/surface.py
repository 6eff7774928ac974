"""The control surface: what a test may see and change, apart from the service's own paths.

Everything is under /_control, takes the control token as a bearer token, and speaks JSON.
docs/emulator.md shows every request.
"""

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vectorshift_emulator._service import Counters, Service
from vectorshift_emulator.api import protojson, replies
from vectorshift_emulator.control import inserts, truth
from vectorshift_emulator.data import seed
from vectorshift_emulator.faults import faults

PREFIX = "/_control"


class BadCommand(ValueError):
    """A command that cannot be carried out; the text says why."""


def insert(service: Service, raw: Any) -> Any:
    """POST /events: insert the given rows."""
    with service.store.lock:
        spans = inserts.insert(
            service.store.cursor(),
            raw,
            now=datetime.now(UTC),
            clock=service.settings.clock,
        )
    return {"span_ids": spans}


def burst(service: Service, raw: Any) -> Any:
    """POST /burst: insert runs of one status, now or at a time, one millisecond apart."""
    options = {"at": None, "status": "failure", "object_id": None, "error_message": None, **raw}
    count = options.pop("count", None)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadCommand("a burst needs a count of 1 or more")
    at = options.pop("at")
    with service.store.lock:
        spans = seed.burst(
            service.store.cursor(),
            at=datetime.now(UTC) if at is None else protojson.timestamp(at, "at"),
            count=count,
            seed=options.pop("seed", None) or service.next_seed(),
            **options,
        )
    return {"span_ids": spans}


def show_settings(service: Service, raw: Any) -> Any:
    """GET /settings."""
    return service.settings.as_dict()


def change_settings(service: Service, raw: Any) -> Any:
    """POST /settings: change some, answer all."""
    service.settings.change(raw)
    return service.settings.as_dict()


def show_faults(service: Service, raw: Any) -> Any:
    """GET /faults: every fault with what it has injected."""
    return service.faults.as_dict()


def add_fault(service: Service, raw: Any) -> Any:
    """POST /faults: put one fault on."""
    service.faults.add(faults.read(raw))
    return service.faults.as_dict()


def clear_faults(service: Service, raw: Any) -> Any:
    """DELETE /faults."""
    service.faults.clear()
    return []


def expire_urls(service: Service, raw: Any) -> Any:
    """POST /expire-urls: end every download URL handed out so far."""
    service.exports.expire_urls()
    return {}


def show_counters(service: Service, raw: Any) -> Any:
    """GET /counters."""
    return service.counters.as_dict()


def reset_counters(service: Service, raw: Any) -> Any:
    """DELETE /counters."""
    service.counters = Counters()
    return service.counters.as_dict()


def show_truth(service: Service, raw: Any) -> Any:
    """POST /truth: the rows of one SELECT over table events."""
    if not isinstance(raw, dict) or not isinstance(raw.get("sql"), str):
        raise BadCommand("truth takes an object with sql")
    return truth.rows(service.store.cursor(), raw["sql"])


def reset(service: Service, raw: Any) -> Any:
    """POST /reset: as after the start: its events, its settings, no faults, counters at zero."""
    service.reset()
    return {}


COMMANDS: dict[tuple[str, str], Callable[[Service, Any], Any]] = {
    ("POST", "/events"): insert,
    ("POST", "/burst"): burst,
    ("GET", "/settings"): show_settings,
    ("POST", "/settings"): change_settings,
    ("GET", "/faults"): show_faults,
    ("POST", "/faults"): add_fault,
    ("DELETE", "/faults"): clear_faults,
    ("POST", "/expire-urls"): expire_urls,
    ("GET", "/counters"): show_counters,
    ("DELETE", "/counters"): reset_counters,
    ("POST", "/truth"): show_truth,
    ("POST", "/reset"): reset,
}
"""Every command by method and path below /_control."""


def routes(service: Service) -> list[Route]:
    """The routes of the control surface."""
    return [
        Route(f"{PREFIX}{path}", functools.partial(_carry_out, service, command), methods=[method])
        for (method, path), command in COMMANDS.items()
    ]


async def _carry_out(
    service: Service, command: Callable[[Service, Any], Any], request: Request
) -> Response:
    if request.headers.get("authorization") != f"Bearer {service.control_token}":
        return _json({"error": "the control surface takes its own token"}, 401)
    body = await request.body()
    try:
        raw = json.loads(body) if body else {}
        return _json(await service.store.run(command, service, raw))
    except (ValueError, TypeError) as error:
        return _json({"error": str(error)}, 400)


def _json(value: Any, status: int = 200) -> Response:
    return Response(replies.compact(value), status, media_type="application/json")
