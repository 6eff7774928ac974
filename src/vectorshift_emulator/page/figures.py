"""What the front page shows, as JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

from vectorshift_emulator._service import Exchange, Service
from vectorshift_emulator._settings import PROFILES, PUBLIC_KEY, SWITCHES, Settings
from vectorshift_emulator.control import truth
from vectorshift_emulator.data.store import Store
from vectorshift_emulator.faults import faults

MOST_EXPORTS = 20
MOST_OBJECTS = 12

_STATUSES = "count(*) FILTER (status = '{0}') AS {0}"
_COUNTS = ", ".join(map(_STATUSES.format, ("success", "failure", "in_progress")))
_DAYS = f"SELECT start_time::DATE::VARCHAR AS day, {_COUNTS} FROM events GROUP BY day ORDER BY day"
_OBJECTS = (
    "SELECT object_id AS id, any_value(object_name) AS name, any_value(entity) AS entity,"
    " count(*) AS events, count(*) FILTER (is_run) AS runs,"
    " count(*) FILTER (is_run AND status = 'failure') AS failed"
    f" FROM events WHERE object_id IS NOT NULL GROUP BY id ORDER BY runs DESC, id LIMIT {MOST_OBJECTS}"
)


class Held:
    """The figures of the events, counted again only when there are others than before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._state: tuple[int, int] | None = None
        self._shown: dict[str, Any] = {}

    def as_dict(self) -> dict[str, Any]:
        """Events by day and status, and the busiest objects."""
        with self._store.snapshot() as cursor:
            state = (self._store.count(), self._store.last_row())
            if state != self._state:
                days, objects = truth.rows(cursor, _DAYS), truth.rows(cursor, _OBJECTS)
                self._shown = {"events": state[0], "days": days, "objects": objects}
                self._state = state
        return self._shown


def choices() -> dict[str, Any]:
    """What can be chosen on the page, the same for every emulator."""
    about = dict(
        line.strip().split(": ", 1)
        for line in (Settings.__doc__ or "").splitlines()
        if line.startswith("        ") and ": " in line
    )
    return {
        "switches": {
            name: {"about": about.get(name, ""), "takes": _takes(type_)}
            for name, type_ in SWITCHES.items()
        },
        "profiles": list(PROFILES),
        "routes": faults.ROUTES,
        "kinds": {
            kind: {
                "routes": faults.ONLY_ON.get(kind, faults.ROUTES),
                "options": faults.OPTIONS.get(kind, ()),
            }
            for kind in faults.KINDS
        },
        "framings": get_args(faults.Framing),
    }


def _takes(type_: Any) -> Sequence[Any] | str:
    """The values of a switch, or the kind of its control."""
    if get_origin(type_) is Literal:
        return get_args(type_)
    if type_ in (bool, str):
        return "flag" if type_ is bool else "text"
    return "optional number" if type(None) in get_args(type_) else "number"


def state(service: Service, held: Held, exchanges: Sequence[Exchange]) -> Mapping[str, Any]:
    """What changes while the emulator runs; the key only where it is the public one."""
    now = datetime.now(UTC)
    return {
        "now": now.isoformat(),
        "key": PUBLIC_KEY if service.api_key == PUBLIC_KEY else None,
        "held": held.as_dict(),
        "counters": service.counters.as_dict(),
        "requests": [
            {
                "number": each.number,
                "at": each.at.isoformat(),
                "method": each.method,
                "path": each.path,
                "status": each.status,
                "ms": None if each.seconds is None else round(each.seconds * 1000, 1),
                "fault": each.fault,
            }
            for each in reversed(exchanges)
        ],
        "exports": [
            {
                "id": task.task_id,
                "at": task.created_at.isoformat(),
                "file": task.file_name,
                "format": task.extension,
                "status": task.status(now),
                "rows": task.written.rows if task.written else None,
                "bytes": task.written.size if task.written else None,
                "error": task.error,
            }
            for task in service.exports.latest(MOST_EXPORTS)
        ],
        "settings": service.settings.as_dict(),
        "changed": service.changed(),
        "faults": service.faults.as_dict(),
    }
