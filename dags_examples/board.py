"""How far `make up` is: steps and addresses, told on the terminal and on the start page."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MOST_ALERTS = 50


@dataclass
class Place:
    """Something to open in a browser.

    Args:
        name: what it is.
        url: where it is, once that is known.
        login: who may enter.
        about: what is to be seen there.
        up: whether it answers.
        links: more addresses there, by what they show.
    """

    name: str
    login: str
    about: str
    url: str | None = None
    up: bool = False
    links: dict[str, str] = field(default_factory=dict)


@dataclass
class Step:
    """Something that has to be there before all is ready.

    Args:
        title: what it is about.
        state: waiting, at work, done or failed.
        text: how far it is.
        seconds: from the start of the command until it was done.
    """

    title: str
    state: str = "waiting"
    text: str = ""
    seconds: float | None = None


class Board:
    """Places, steps and alerts, told by several threads.

    Args:
        alerts: the file that keeps the alerts that arrived.
        places: by a short name.
        steps: titles by a short name, in order.
    """

    def __init__(self, alerts: Path, places: dict[str, Place], steps: dict[str, str]) -> None:
        self.places = places
        self.steps = {name: Step(title) for name, title in steps.items()}
        self._file = alerts
        lines = alerts.read_text().splitlines() if alerts.exists() else []
        self._alerts = [json.loads(line) for line in lines[-MOST_ALERTS:]]
        self._began, self._started = time.monotonic(), datetime.now(UTC)
        self._ready: float | None = None
        self._changed = threading.Condition()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step while it is at work; it is done at the end of the block, failed if that raises."""
        step = self.steps[name]
        step.state = "at work"
        try:
            yield step
        except BaseException as error:
            step.state, step.text = "failed", str(error) or type(error).__name__
            raise
        step.state, step.seconds = "done", self.seconds
        self.note(f"{step.title}: {step.text}")

    def opened(self, name: str, text: str) -> None:
        """A place answers from now on."""
        self.places[name].up = True
        self.note(f"{self.places[name].name} {text}")

    def note(self, text: str) -> None:
        """A line on the terminal, behind the seconds since the start."""
        print(f"{self.seconds:4.0f} s  {text}", flush=True)

    def ready(self) -> float:
        """All is there; the seconds that it took."""
        self._ready = self._ready or self.seconds
        return self._ready

    def alert(self, sender: str, title: str, text: str) -> None:
        """An alert arrived."""
        alert = {"at": datetime.now(UTC).isoformat(), "from": sender, "title": title, "text": text}
        with self._changed:
            self._alerts = [*self._alerts, alert][-MOST_ALERTS:]
            with self._file.open("a") as file:
                file.write(json.dumps(alert) + "\n")
        self.note(f"alert from {sender}: {title}")

    def alerts(self) -> Counter[tuple[str, bool]]:
        """How many on counts of errors arrived, by sender and whether that was since the start."""
        since = self._started.isoformat()
        return Counter(
            (each["from"], each["at"] >= since)
            for each in self._alerts
            if "error_count" in each["title"]
        )

    def shown(self) -> dict[str, Any]:
        """All of it as JSON, the newest alerts first."""
        return {
            "now": datetime.now(UTC).isoformat(),
            "seconds": self.seconds,
            "ready": self._ready,
            "places": {name: asdict(place) for name, place in self.places.items()},
            "steps": [asdict(step) for step in self.steps.values()],
            "alerts": list(reversed(self._alerts)),
        }
