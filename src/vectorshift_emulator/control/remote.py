"""The control surface as Python calls, for tests in this process or in another one.

Cheap to import, and needs nothing but the standard library.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit


class ControlError(RuntimeError):
    """The emulator refused a command; the text is its response."""


@dataclass(frozen=True)
class Control:
    """A running emulator's control surface.

    Args:
        control_url: as the emulator printed it, ending in /_control.
        control_token: as the emulator printed it.
    """

    control_url: str
    control_token: str = field(repr=False)

    def insert(self, rows: list[dict[str, Any]]) -> list[str]:
        """Insert rows into table `events`; what they leave out is completed (docs/emulator.md).

        Returns:
            The span ids, in order.
        """
        spans: list[str] = self._call("POST", "/events", rows)["span_ids"]
        return spans

    def burst(self, count: int, *, at: datetime | None = None, **options: Any) -> list[str]:
        """Insert `count` runs, one millisecond apart.

        Args:
            count: how many.
            at: aware start of the first; None is now.
            options: status (default failure), object_id, error_message, seed.

        Returns:
            The span ids, in order of start.
        """
        body = {"count": count, "at": None if at is None else at.isoformat(), **options}
        spans: list[str] = self._call("POST", "/burst", body)["span_ids"]
        return spans

    def truth(self, sql: str) -> list[dict[str, Any]]:
        """The rows of one SELECT over table `events`, straight from the database."""
        rows: list[dict[str, Any]] = self._call("POST", "/truth", {"sql": sql})
        return rows

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change switches, all or none, and return the value of every one.

        `profile` sets all that make a whole service, before the others (docs/emulator-switches.md).
        """
        method = "POST" if changes else "GET"
        settings: dict[str, Any] = self._call(method, "/settings", changes or None)
        return settings

    def fault(self, route: str, kind: str, **options: Any) -> None:
        """Put a fault on a route; `times=1` by default, 0 is for ever."""
        self._call("POST", "/faults", {"route": route, "kind": kind, **options})

    def faults(self) -> list[dict[str, Any]]:
        """Every fault that was put on, with how often it was `injected`."""
        faults: list[dict[str, Any]] = self._call("GET", "/faults")
        return faults

    def clear_faults(self) -> None:
        """Take every fault off."""
        self._call("DELETE", "/faults")

    def expire_urls(self) -> None:
        """End every download URL handed out so far."""
        self._call("POST", "/expire-urls")

    def counters(self) -> dict[str, Any]:
        """What was counted since the start or the last reset."""
        counted: dict[str, Any] = self._call("GET", "/counters")
        return counted

    def reset_counters(self) -> None:
        """Set every counter to zero."""
        self._call("DELETE", "/counters")

    def reset(self) -> None:
        """Undo every inserted event, setting and fault, and set the counters to zero."""
        self._call("POST", "/reset")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """One command over HTTP.

        Raises:
            ControlError: the emulator refused it.
            OSError: the emulator cannot be reached.
        """
        import http.client
        import json

        address = urlsplit(self.control_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        try:
            connection.request(
                method,
                address.path + path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.control_token}"},
            )
            reply = connection.getresponse()
            text = reply.read()
        finally:
            connection.close()
        if reply.status != 200:
            raise ControlError(f"{method} {path}: {reply.status} {text.decode()}")
        return json.loads(text)


@dataclass(frozen=True)
class Emulator(Control):
    """A running emulator: where a client finds it, and its control surface.

    Args:
        base_url: what a client takes, ending in /v1.
        api_key: the key it accepts.
    """

    base_url: str = ""
    api_key: str = field(default="", repr=False)
