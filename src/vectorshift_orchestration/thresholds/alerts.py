"""A failed check as an alert: what it says, and how each is sent once.

Any check may be sent, whoever judged it; those of this project fill in the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from vectorshift_orchestration.windows import Window


@dataclass(frozen=True)
class Alert:
    """A check that failed.

    `asset` is the key with slashes, `severity` is "WARN" or "ERROR", `evaluated_at` is UTC, `run_id`
    is None for an evaluation without a run. `reason` is one sentence. The window, figures and error
    messages are those of the check, None or empty if it has none.
    """

    asset: str
    check: str
    partition: str | None
    severity: str
    evaluated_at: datetime
    reason: str = ""
    run_id: str | None = None
    window: Window | None = None
    observed: float | None = None
    limit: float | None = None
    sample: int | None = None
    top_errors: tuple[tuple[str, int], ...] = ()

    @property
    def about_until(self) -> datetime:
        """The end of what was judged, if the check records it."""
        return self.evaluated_at if self.window is None else self.window.end

    @property
    def place(self) -> str:
        """What failed: asset, check and partition; the same for every failure of it."""
        return "|".join((self.asset, self.check, self.partition or ""))

    @property
    def dedup_key(self) -> str:
        """The same whenever this very alert is sent again, and different for every other one.

        A crash between sending and noting it sends an alert twice: let the receiver drop what it has.
        """
        return f"{self.place}|{self.severity}|{self.evaluated_at.isoformat()}"

    @property
    def title(self) -> str:
        """One line, without figures."""
        where = f" [{self.partition}]" if self.partition else ""
        return f"{self.severity}: {self.check} of {self.asset}{where}"

    def to_dict(self) -> dict[str, Any]:
        """The alert as JSON values, `dedup_key` and `title` included."""
        return {
            **asdict(self),
            "evaluated_at": self.evaluated_at.isoformat(),
            "window": self.window and self.window.to_dict(),
            "top_errors": [{"message": text, "count": count} for text, count in self.top_errors],
            "dedup_key": self.dedup_key,
            "title": self.title,
        }


class Receipts(Protocol):
    """Which alerts were sent."""

    def sent(self, alert: Alert) -> Iterable[datetime]:
        """When the last alerts about the same place were evaluated that were as severe."""

    def passed(self, alert: Alert, since: datetime) -> bool:
        """Whether the check passed after `since` and before this failure."""

    def write(self, alert: Alert) -> None:
        """Note, durably, that the alert was sent."""


def deliver(
    alerts: Iterable[Alert],
    notify: Callable[[Alert], object],
    receipts: Receipts,
    *,
    seconds: float,
) -> tuple[int, datetime | None]:
    """Send the alerts that no receipt covers, in order, each with a receipt of its own.

    Returns how many were sent, and from which instant on (of `evaluated_at`) nothing was seen to,
    because at least one was sent and the `seconds` were over; None when all were.

    Raises an `ExceptionGroup` of what `notify` raised, after all others were sent. A result of it
    that is false and not None counts as an error.
    """
    deadline = time.monotonic() + seconds
    sent, next_time, problems = 0, None, list[Exception]()
    for alert in alerts:
        if _is_sent(alert, receipts):
            continue
        if sent and time.monotonic() > deadline:
            next_time = alert.evaluated_at
            break
        try:
            answer: object = notify(alert)
            if answer is not None and not answer:
                raise RuntimeError(f"notify returned {answer!r} for {alert.title}")
        except Exception as problem:  # noqa: BLE001  # one alert must not keep back the others
            problems.append(problem)
            continue
        receipts.write(alert)
        sent += 1
    if problems:
        raise ExceptionGroup(f"{len(problems)} alerts could not be sent, {sent} were", problems)
    return sent, next_time


def _is_sent(alert: Alert, receipts: Receipts) -> bool:
    """Whether this alert, or the problem that it is about, has been sent.

    A check that keeps failing is sent once for each severity that it reaches; again when it has passed
    in between.
    """
    sent = list(receipts.sent(alert))
    if any(sent_at >= alert.evaluated_at for sent_at in sent):
        return True
    return bool(sent) and not receipts.passed(alert, max(sent))
