"""Watching error counts in the triggerer, for assets that are updated when a limit is passed.

All watchers of one query and connection share one poll (Airflow 3.3): what several of them
need is requested once. A watcher never ends, whatever happens: Airflow would restart it every
second.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Hashable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_vectorshift._arguments import check_connection
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.triggers._watermark import Watermark
from vectorshift_orchestration.values import as_json, seconds
from vectorshift_orchestration.watchers import Watch
from vectorshift_orchestration.watching import SharedPoll, load

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Rule

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
        interval: seconds between two polls. A poll sends a request only when a window has ended.
        settle: how long after its end a window's events may still come in, a timedelta or seconds.
        catch_up: how many windows before the newest are judged after a pause; older ones are
            left out, which is logged.

    Raises TypeError for arguments that cannot work, naming them: Airflow's triggerer survives no
    other error while it builds a trigger.
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
        super().__init__()  # type: ignore[no-untyped-call]
        try:
            self.interval = seconds("interval", interval)
            self.watch = Watch.from_arguments(
                rule=rule,
                threshold=threshold,
                window=window,
                settle=settle,
                query=query,
                account=vectorshift_conn_id,
                catch_up=catch_up,
            )
            check_connection(_NAME, vectorshift_conn_id)
        except ValueError as problem:
            raise TypeError(f"{_NAME}: {str(problem).removeprefix(f'{_NAME}: ')}") from problem
        self.vectorshift_conn_id = vectorshift_conn_id
        self.query = self.watch.query

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them.

        Values that are not plain are JSON text: Airflow 3.2 hands a watcher's trigger an object with
        the marks of its own serialization in it.
        """
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "rule": json.dumps(self.watch.rule.to_dict(), sort_keys=True),
                "window": self.watch.window,
                "query": None if self.query is None else json.dumps(self.query, sort_keys=True),
                "vectorshift_conn_id": self.vectorshift_conn_id,
                "interval": self.interval,
                "settle": self.watch.settle,
                "catch_up": self.watch.catch_up,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """What watchers that share a poll have in common; rules and windows may differ."""
        return (
            "vectorshift-error-count",
            self.vectorshift_conn_id,
            json.dumps(self.query, sort_keys=True),
            self.interval,
        )

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator["SharedPoll"]:
        """One poll after the other, for ever; each sends what its watchers request."""
        await load()
        hook = VectorShiftHook(kwargs["vectorshift_conn_id"])
        while True:
            poll = SharedPoll(hook.ashared, as_json(kwargs["query"]))
            yield poll
            await asyncio.sleep(kwargs["interval"])
            await asyncio.sleep(poll.pause)
            poll.over = True

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator["SharedPoll"]
    ) -> AsyncIterator[TriggerEvent]:
        """This watcher's events: the windows in which its rule is breached."""
        mark = Watermark(getattr(self, "asset_state_store", None), self.watch.identity)
        breaches = self.watch.breaches(shared_stream, mark, stored_after=_STORED, log=self.log)
        async for verdict in breaches:
            payload = verdict | {"vectorshift_conn_id": self.vectorshift_conn_id}
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """The same with its own poll, for an Airflow that cannot share one."""
        polls = type(self).open_shared_stream(self.serialize()[1])
        async for event in self.filter_shared_stream(polls):
            yield event
