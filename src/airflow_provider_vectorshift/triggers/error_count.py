"""Watching error counts in the triggerer, for assets that are updated when a limit is passed.

All watchers of one query and connection look through one poll (Airflow 3.3): what several of them
need is asked for once. A watcher never ends, whatever happens: Airflow would start it anew each
second.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_vectorshift._arguments import check_connection
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers._watermark import Watermark
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.values import as_json, seconds
from vectorshift_orchestration.watching import Look, load
from vectorshift_orchestration.windows.clock import due_windows, newest_window

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Judging, Rule, Verdict, Window

_NAME = "VectorShiftErrorCountTrigger"
_STORED = 2.0
"""Seconds after which Airflow has stored an event: its triggerer hands them over once a second."""


class VectorShiftErrorCountTrigger(BaseEventTrigger):
    """Fires one event for each window in which a rule is breached; for an `AssetWatcher`.

        Asset("pipeline_errors", watchers=[
            AssetWatcher(name="over 20", trigger=VectorShiftErrorCountTrigger(threshold=20))])

    Windows lie on a fixed grid, those of an hour or a day on the clock's (UTC). Each is judged once,
    when it has ended and settled; with too little data to judge nothing fires. The payload is the
    verdict as `thresholds.reports.verdict_as_json` describes it, with the commonest error messages,
    `vectorshift_conn_id`, and `dedup_key`, which is the same if an event is ever fired twice.

    On Airflow 3.3 the last judged window is kept with the asset: after a restart of the triggerer
    the windows missed meanwhile are judged, and none again. Before, and where several assets share
    one trigger, a restart judges the newest window again.

    Errors are logged, and the watch goes on: a refused key is tried again every five minutes, and a
    `Retry-After` is honoured.

    Args:
        rule: a rule of `vectorshift_orchestration.thresholds`, or what its `to_dict` gives, also as a
            text of JSON.
        threshold: instead of a rule, the number of failed runs that is still all right.
        window: the width of a window, a timedelta or seconds. Rules that look back need whole hours.
        query: which events, without a time: a `Query`, what its `to_dict` gives, also as a text of
            JSON, or None for all.
        vectorshift_conn_id: connection of type `vectorshift`.
        interval: seconds between two looks. A look asks the service only when a window has ended.
        settle: how long after its end a window's events may still come in, a timedelta or seconds.
        catch_up: how many windows before the newest are judged after a pause; older ones are
            left out, which is logged.

    Raises TypeError for arguments that cannot work, naming them: Airflow's triggerer survives no
    other error from a trigger that it makes.
    """

    def __init__(
        self,
        *,
        rule: "Rule | Mapping[str, Any] | str | None" = None,
        threshold: float | None = None,
        window: timedelta | float = timedelta(minutes=10),
        query: "Query | Mapping[str, Any] | str | None" = None,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        interval: timedelta | float = 60.0,
        settle: timedelta | float = timedelta(minutes=1),
        catch_up: int = 24,
    ) -> None:
        from vectorshift_orchestration.thresholds.rules import rule_document, rule_from_dict

        super().__init__()  # type: ignore[no-untyped-call]
        with _checking():
            document = rule_document(rule, threshold)
            self.window = seconds("window", window)
            self.settle = seconds("settle", settle, above_0=False)
            self.interval = seconds("interval", interval)
            _check_count("catch_up", catch_up)
            check_connection(_NAME, vectorshift_conn_id)
        with _checking("threshold=" if rule is None else "rule="):
            self._rule = rule_from_dict(document)
        with _checking("query="):
            self.query = _query(query)
        with _checking("window="):
            self._check_window()
        self.rule = self._rule.to_dict()
        self.vectorshift_conn_id = vectorshift_conn_id
        self.catch_up = catch_up

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them.

        What is no plain value is a text of JSON: Airflow 3.2 hands a watcher's trigger an object with
        the marks of its own serialization in it.
        """
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "rule": json.dumps(self.rule, sort_keys=True),
                "window": self.window,
                "query": None if self.query is None else json.dumps(self.query, sort_keys=True),
                "vectorshift_conn_id": self.vectorshift_conn_id,
                "interval": self.interval,
                "settle": self.settle,
                "catch_up": self.catch_up,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """What the watchers have in common that look through one poll; rules and windows may differ."""
        return (
            "vectorshift-error-count",
            self.vectorshift_conn_id,
            json.dumps(self.query, sort_keys=True),
            self.interval,
        )

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator["Look"]:
        """One look after the other, for ever; each asks what the watchers want to know of it."""
        await load()
        hook = VectorShiftHook(kwargs["vectorshift_conn_id"])
        while True:
            look = Look(hook.ashared, as_json(kwargs["query"]))
            yield look
            await asyncio.sleep(kwargs["interval"])
            await asyncio.sleep(look.pause)
            look.over = True

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator["Look"]
    ) -> AsyncIterator[TriggerEvent]:
        """This watcher's events: the windows in which its rule is breached."""
        mark = Watermark(getattr(self, "asset_state_store", None), self._identity)
        async for look in shared_stream:
            if look.over:
                continue
            try:
                for window in self._due(await mark.read()):
                    judging = self._judging(window)
                    figures = await look.figures(judging)
                    if figures is None:
                        break
                    (found,) = judging.verdicts(figures)
                    self.log.info(found.reason)
                    if not found.ok:
                        yield await self._event(judging, found, look)
                        # Noted too early, an event would be lost with the process that fired it.
                        await asyncio.sleep(_STORED)
                    await mark.write(window.end)
            except Exception:
                self.log.exception("This look came to nothing; the next one tries again")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same with a poll of its own, for an Airflow that shares none."""
        looks = type(self).open_shared_stream(self.serialize()[1])
        async for event in self.filter_shared_stream(looks):
            yield event

    # --- windows and verdicts ---

    def _due(self, until: datetime | None) -> "Sequence[Window]":
        newest = newest_window(datetime.now(UTC), self.window, self.settle)
        due = due_windows(newest, until, self.catch_up)
        if until is not None and due and due[0].start > until:
            self.log.warning(
                "Nothing is told of %s to %s: that is more than %s windows ago",
                until.isoformat(),
                due[0].start.isoformat(),
                self.catch_up,
            )
        return due

    def _judging(self, window: "Window") -> "Judging":
        from vectorshift_orchestration.thresholds.judging import Judging

        return Judging(self._rule, [window])

    async def _event(self, judging: "Judging", found: "Verdict", look: Look) -> TriggerEvent:
        from vectorshift_orchestration.thresholds.reports import verdict_as_json

        errors = await look.top_errors(found.window) if judging.needs_messages(found) else None
        payload = verdict_as_json(found, self._rule, errors) | {
            "vectorshift_conn_id": self.vectorshift_conn_id,
            "dedup_key": f"{self._identity}:{found.window.label}",
        }
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

    @property
    def _identity(self) -> str:
        """The same for all watchers that would tell the same: what is measured, where, and the limits."""
        told = [self.vectorshift_conn_id, self.query, self.rule, self.window]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return f"vectorshift_error_count_{digest[:16]}"

    def _check_window(self) -> None:
        """Raise what measuring a window would: a rule that looks back needs whole hours."""
        window = newest_window(datetime.now(UTC), self.window, self.settle)
        _ = self._judging(window).question


@contextmanager
def _checking(argument: str = "") -> Iterator[None]:
    """Turn an error into the TypeError that a triggerer survives, with the argument's name if it has none yet."""
    try:
        yield
    except (VectorshiftError, ValueError) as problem:
        told = f"{argument} cannot be used. {problem}" if argument else str(problem)
        raise TypeError(f"{_NAME}: {told.removeprefix(f'{_NAME}: ')}") from problem


def _query(query: "Query | Mapping[str, Any] | str | None") -> dict[str, Any] | None:
    """The query's JSON form, once it is sure that windows of it can be measured."""
    if query is None:
        return None
    from vectorshift.analytics import Query
    from vectorshift_orchestration.specs.measurable import require_measurable

    asked = query if isinstance(query, Query) else Query.from_dict(as_json(query))
    require_measurable(asked)
    return asked.to_dict()


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name}= is a whole number of windows, 0 or more, not {value!r}.")
