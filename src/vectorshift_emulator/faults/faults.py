"""Which faults are on: the list that the control surface edits and every request consults.

A fault is put on a route (or `*`) and hits one request at a time. What each kind does to a request
is in `spoil.py`; docs/emulator.md has the table.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

Framing: TypeAlias = Literal["honest", "lying", "chunked", "close"]
"""How a cut body is framed: Content-Length of the cut or of the whole, chunks, or until the end."""

ROUTES = (
    "count",
    "search",
    "aggregations",
    "tables",
    "export_create",
    "export_poll",
    "trace",
    "event",
    "run_data",
    "download",
)
"""The names of the routes, in faults and in counters."""

ANYWHERE = (
    "status",
    "delay",
    "hang",
    "reset",
    "failed_200",
    "html_200",
    "empty_200",
    "not_json",
    "truncate",
    "drip",
)

_EXPORTS = ("export_create", "export_poll")
ONLY_ON = {
    "never_ready": _EXPORTS,
    "task_failed": _EXPORTS,
    "ready_without_url": _EXPORTS,
    "short_file": ("export_create",),
    "first_page": ("search", "tables"),
    "flip_byte": ("download",),
    "wrong_etag": ("download",),
    "expired": ("download",),
    "wrong_file": ("download",),
}
"""The routes on which a fault of some kinds makes sense."""

KINDS = (*ANYWHERE, *ONLY_ON)

OPTIONS = {
    "status": ("code", "retry_after", "body"),
    "delay": ("seconds",),
    "hang": ("fraction",),
    "reset": ("fraction",),
    "failed_200": ("body",),
    "html_200": ("body",),
    "not_json": ("body",),
    "truncate": ("fraction", "framing"),
    "drip": ("bytes_per_second",),
    "task_failed": ("body",),
    "short_file": ("fraction",),
    "flip_byte": ("fraction",),
}
"""What can be said of a fault of some kinds, besides `times` and `after`."""


class BadFault(ValueError):
    """A fault that cannot be put on; the text says why."""


@dataclass
class Fault:
    """One kind of misbehaviour on one route.

    Args:
        route: name of the route, or `*` for every route the kind fits.
        kind: one of `KINDS`.
        times: how many requests it hits; 0 is for ever.
        after: how many matching requests it lets pass first.
        injected: how many requests it has hit.
        code: HTTP status (`status`).
        body: text of the reply (`status`, `failed_200`, `html_200`, `not_json`, `task_failed`).
        retry_after: value of the Retry-After header, verbatim (`status`).
        seconds: time before the reply (`delay`).
        fraction: share of the body before it happens, 0 to 1 (`truncate`, `flip_byte`; `hang` and
            `reset`, where None means that the request is not even acted on); share of the rows
            that a file gets (`short_file`).
        framing: how a cut body is framed (`truncate`).
        bytes_per_second: speed of the body (`drip`).
    """

    route: str
    kind: str
    times: int = 1
    after: int = 0
    injected: int = 0
    code: int = 500
    body: str | None = None
    retry_after: str | None = None
    seconds: float = 1.0
    fraction: float | None = None
    framing: Framing = "lying"
    bytes_per_second: float = 100.0

    def fits(self, route: str) -> bool:
        """Whether this fault is meant for `route` and its kind makes sense there."""
        if self.route not in ("*", route):
            return False
        return route in ONLY_ON.get(self.kind, ROUTES)

    @property
    def spent(self) -> bool:
        """Whether it has hit as often as it should."""
        return 0 < self.times <= self.injected


class Faults:
    """The faults that are on, the oldest first; one request meets one fault at most."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Take every fault off."""
        self._faults.clear()

    def as_dict(self) -> list[dict[str, Any]]:
        """Every fault as JSON, spent ones too, with what it has injected."""
        return [asdict(fault) for fault in self._faults]

    def take(self, route: str) -> Fault | None:
        """The fault for one request of `route`, counted as injected."""
        for fault in self._faults:
            if fault.spent or not fault.fits(route):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.injected += 1
            return fault
        return None


def read(raw: Any) -> Fault:
    """A fault from the JSON that the control surface got.

    Args:
        raw: decoded JSON.

    Raises:
        BadFault: an unknown or missing field, or a value out of range.
    """
    if not isinstance(raw, dict) or not {"route", "kind"} <= raw.keys():
        raise BadFault("a fault is an object with at least route and kind")
    unknown = raw.keys() - ({field.name for field in fields(Fault)} - {"injected"})
    if unknown:
        raise BadFault(f"a fault has no {', '.join(sorted(unknown))}")
    fault = Fault(**raw)
    problem = _problem(fault)
    if problem:
        raise BadFault(problem)
    return fault


def _problem(fault: Fault) -> str | None:
    if fault.kind not in KINDS:
        return f"kind is one of {', '.join(KINDS)}"
    if fault.route not in ("*", *ROUTES):
        return f"route is * or one of {', '.join(ROUTES)}"
    if fault.route != "*" and not fault.fits(fault.route):
        return f"{fault.kind} makes no sense on route {fault.route}"
    if fault.framing not in get_args(Framing):
        return f"framing is one of {', '.join(get_args(Framing))}"
    for name, least, most in (
        ("times", 0, 2**31),
        ("after", 0, 2**31),
        ("code", 200, 599),
        ("seconds", 0, 3600),
        ("fraction", 0, 1),
        ("bytes_per_second", 1, 2**31),
    ):
        value = getattr(fault, name)
        if value is None and name == "fraction":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} is a number"
        if not least <= value <= most:
            return f"{name} is between {least} and {most}"
    for name in ("body", "retry_after"):
        if not isinstance(getattr(fault, name), str | None):
            return f"{name} is a text"
    return None
