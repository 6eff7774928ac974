"""A rule watched for ever: each window of a fixed grid is judged once, when it has ended and settled."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.values import as_json, seconds

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.thresholds.judging import Judging
    from vectorshift_orchestration.thresholds.rules import Rule
    from vectorshift_orchestration.thresholds.verdicts import Verdict
    from vectorshift_orchestration.watching import SharedPoll
    from vectorshift_orchestration.windows import Window

_Read = TypeVar("_Read")


class Mark(Protocol):
    """How far a watcher has judged."""

    async def read(self) -> datetime | None:
        """The end of the last window that was judged, or None when there is not one yet."""

    async def write(self, until: datetime) -> None:
        """Move the mark."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a watcher watches.

    `window` is the width of the windows and `settle` how long after its end a window's events may
    still come in, both in seconds. `query` is the JSON form of a query without a time, None is every
    event. `account` tells accounts apart. At most `catch_up` windows before the newest are judged
    after a pause.
    """

    rule: Rule
    window: float
    settle: float
    query: dict[str, Any] | None
    account: str
    catch_up: int

    @classmethod
    def from_arguments(
        cls,
        *,
        rule: Rule | Mapping[str, Any] | str | None,
        threshold: float | None,
        window: timedelta | float,
        settle: timedelta | float,
        query: Query | Mapping[str, Any] | str | None,
        account: str,
        catch_up: int,
    ) -> Self:
        """A watch out of users' arguments: durations as timedeltas or seconds, JSON also as text.

        `threshold` failed runs that are still all right may stand for a rule. Raises ValueError,
        which names the argument, for what cannot be watched.
        """
        from vectorshift_orchestration.thresholds.rules import rule_document, rule_from_dict

        document = rule_document(rule, threshold)
        count: Any = catch_up
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(
                f"catch_up= is a whole number of windows, 0 or more, not {catch_up!r}."
            )
        watch = cls(
            rule=_usable("threshold" if rule is None else "rule", lambda: rule_from_dict(document)),
            window=seconds("window", window),
            settle=seconds("settle", settle, above_0=False),
            query=_usable("query", lambda: _measurable(query)),
            account=account,
            catch_up=catch_up,
        )
        newest = _usable("window", lambda: watch._newest)
        if watch.rule.history:  # a window alone can always be asked for
            _usable("window", lambda: watch._judging(newest).question)
        return watch

    @property
    def identity(self) -> str:
        """The same for all watchers with the same verdicts: what is measured, where, and the limits."""
        identifying = [self.account, self.query, self.rule.to_dict(), self.window]
        digest = hashlib.sha256(json.dumps(identifying, sort_keys=True).encode()).hexdigest()
        return f"vectorshift_error_count_{digest[:16]}"

    async def breaches(
        self, polls: AsyncIterator[SharedPoll], mark: Mark, *, stored_after: float, log: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The verdict on each window in which the rule is breached, as JSON, once.

        It is `verdict_as_json` with a `dedup_key`, which is the same if a verdict is ever sent twice.
        The mark moves `stored_after` seconds after a verdict was sent: earlier, it would be lost with
        a process that ends before the verdict is stored. Errors are logged, and the next poll tries
        again; the iteration ends with the polls. `log` is a logger of any kind.
        """
        async for poll in polls:
            if poll.over:
                continue
            try:
                for window in self._due(await mark.read(), log):
                    judging = self._judging(window)
                    figures = await poll.figures(judging)
                    if figures is None:
                        break
                    (verdict,) = judging.verdicts(figures)
                    log.info(verdict.reason)
                    if not verdict.ok:
                        yield await self._as_json(judging, verdict, poll)
                        await asyncio.sleep(stored_after)
                    await mark.write(window.end)
            except Exception:
                log.exception("This poll failed; the next one tries again")

    @property
    def _newest(self) -> Window:
        from vectorshift_orchestration.windows.clock import newest_window

        return newest_window(datetime.now(UTC), self.window, self.settle)

    def _due(self, until: datetime | None, log: Any) -> Sequence[Window]:
        from vectorshift_orchestration.windows.clock import due_windows

        due = due_windows(self._newest, until, self.catch_up)
        if until is not None and due and due[0].start > until:
            log.warning(
                "Windows from %s to %s are not judged: they are more than %s windows ago",
                until.isoformat(),
                due[0].start.isoformat(),
                self.catch_up,
            )
        return due

    def _judging(self, window: Window) -> Judging:
        from vectorshift_orchestration.thresholds.judging import Judging

        return Judging(self.rule, [window])

    async def _as_json(
        self, judging: Judging, verdict: Verdict, poll: SharedPoll
    ) -> dict[str, Any]:
        from vectorshift_orchestration.thresholds.reports import verdict_as_json

        errors = await poll.top_errors(verdict.window) if judging.needs_messages(verdict) else None
        document = verdict_as_json(verdict, self.rule, errors)
        return document | {"dedup_key": f"{self.identity}:{verdict.window.label}"}


def _usable(argument: str, read: Callable[[], _Read]) -> _Read:
    """The value, or an error that names the argument."""
    try:
        return read()
    except (VectorshiftError, ValueError) as problem:
        raise SpecError(f"{argument}= cannot be used. {problem}") from problem


def _measurable(query: Query | Mapping[str, Any] | str | None) -> dict[str, Any] | None:
    """The query's JSON form, after checking that its windows can be measured."""
    if query is None:
        return None
    from vectorshift.analytics import Query
    from vectorshift_orchestration.specs.measurable import require_measurable

    parsed = query if isinstance(query, Query) else Query.from_dict(as_json(query))
    require_measurable(parsed)
    return parsed.to_dict()
