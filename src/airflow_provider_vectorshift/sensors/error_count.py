"""A sensor: too many runs have failed in a window."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue

from airflow_provider_vectorshift._airflow import AirflowFailException, conf
from airflow_provider_vectorshift._arguments import check_flags, checking, inherited, is_literal
from airflow_provider_vectorshift._assets import publish_to_assets
from airflow_provider_vectorshift._events import read_breach_event
from airflow_provider_vectorshift._schedules import warn_of_lost_hours
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.operators._windowed import WindowedOperator
from airflow_provider_vectorshift.sensors._time_limits import TimeLimitedSensor
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.values import seconds

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vectorshift.analytics import Query
    from vectorshift_orchestration import Rule, Window


class VectorShiftErrorCountSensor(WindowedOperator, TimeLimitedSensor):
    """Waits until a rule is breached, such as more failed runs than `threshold`.

    It judges the run's data interval, the interval from `start` to `end`, or, with `trailing`, the
    time just gone. The result (XCom) is the verdict, the same in every mode: `ok` (False), `state`,
    `severity` (WARN or ERROR), `observed`, `limit`, `sample`, `reason`, `window`, `rule`,
    `top_errors` (a list of `message` and `count`), `failed_events`, `message`. Without a breach it
    fails at `timeout`, or is skipped with `soft_fail`. Too little data to judge is not a breach.

    In modes `poke` and `reschedule`, an error that may pass fails the try, or with `silent_fail`
    is only logged. Deferred, the task waits such errors out until the timeout.

    Args:
        rule: an `Absolute`, `Rate`, `Change` or `Baseline` of `vectorshift_orchestration`, or its
            JSON form; its texts may be templates.
        threshold: instead of a rule, the number of failed runs that is still all right.
        trailing: width of the window that ended `settle` ago, instead of a fixed one; a timedelta
            or seconds. A rule that looks back needs a fixed one.
        settle: how long after they happened events may still come in, a timedelta or seconds.
        query: which events, without a time: a `Query`, what its `to_dict` gives, or None for all.
        start: start of the window, an aware datetime or ISO 8601 text; the data interval's by
            default.
        end: its end, exclusive; the data interval's by default.
        vectorshift_conn_id: connection of type `vectorshift`.
        deferrable: wait in the triggerer, without a worker slot; `mode` does not matter then.
        poke_interval: seconds between polls.
        timeout: seconds from the first poll until the task gives up, in every mode.

    Everything else is as in `BaseSensorOperator`.

    Raises ValueError, when the DAG is parsed, for arguments that exclude each other. Raises, without
    retries, `AirflowFailException` for a rule, query, window or connection that cannot be used and
    for a refused key, and `AirflowSensorTimeout` at the timeout.
    """

    template_fields: Sequence[str] = (*WindowedOperator.template_fields, "rule")

    def __init__(
        self,
        *,
        rule: "Rule | Mapping[str, Any] | None" = None,
        threshold: float | None = None,
        trailing: timedelta | float | None = None,
        settle: timedelta | float = timedelta(minutes=1),
        query: "Query | Mapping[str, Any] | None" = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        from vectorshift_orchestration.thresholds.rules import rule_document

        super().__init__(**inherited(locals()), **kwargs)
        self.deferrable = deferrable
        self._limit = "threshold=" if rule is None else "rule="
        check_flags(self, "deferrable")
        with checking(self._name):
            self.rule = rule_document(rule, threshold)
            self.trailing = None if trailing is None else seconds("trailing", trailing)
            self.settle = seconds("settle", settle, above_0=False)
            if self.deferrable:
                seconds("poke_interval", self.poke_interval)
            fixed = start is not None or end is not None or self.lookback not in (0, "0")
            if self.trailing is not None and fixed:
                raise ValueError("give either trailing=, or start=, end= and lookback=.")
        if is_literal(self.rule):
            self._rule()
        if self._takes_data_interval:
            warn_of_lost_hours(self)

    def execute(self, context: "Context") -> Any:
        """Wait here or in the triggerer, after checking that there is a window to judge."""
        with failing_fast(self._name):
            rule, window = self._rule(), self._judged(context)
            self._bound_query()
        if not self.deferrable:
            return super().execute(context)
        from airflow_provider_vectorshift.triggers.breach import VectorShiftBreachTrigger

        wait = self._longest_wait(context)
        trigger = VectorShiftBreachTrigger(
            vectorshift_conn_id=self.vectorshift_conn_id,
            rule=rule.to_dict(),
            query=self.query,
            window=None if self.trailing is not None else window.to_dict(),
            trailing=self.trailing,
            settle=self.settle,
            poll_interval=self.poke_interval,
            deadline=time.time() + wait,
        )
        return self._wait_in_triggerer(trigger, wait)

    def poke(self, context: "Context") -> PokeReturnValue:
        """Judge once."""
        from vectorshift_orchestration.thresholds.reports import judge

        with failing_fast(self._name), self._client() as client:
            verdict = judge(client, self.query, self._rule(), self._judged(context))
        self.log.info("%s", verdict["reason"])
        if not verdict["ok"]:
            publish_to_assets(self, context, verdict)
        return PokeReturnValue(is_done=not verdict["ok"], xcom_value=verdict)

    def execute_complete(self, context: "Context", event: Any) -> dict[str, Any]:
        """Return the verdict of the trigger."""
        report = read_breach_event(event)
        if report["status"] == "refused":
            raise AirflowFailException(report["error"])
        if report["verdict"] is None:
            raise self._not_in_time("the rule was not breached", report["error"])
        publish_to_assets(self, context, report["verdict"])
        return report["verdict"]

    def _rule(self) -> "Rule":
        from vectorshift_orchestration.thresholds.rules import rule_from_dict

        with self._checking(self._limit):
            rule = rule_from_dict(self.rule)
            if rule.history and self.trailing is not None:
                raise SpecError(
                    f"A rule {rule.name} compares whole hours, which a trailing window does not have: "
                    "leave out trailing=."
                )
        return rule

    @property
    def _takes_data_interval(self) -> bool:
        return self.trailing is None and super()._takes_data_interval

    def _judged(self, context: Mapping[str, Any]) -> "Window":
        if self.trailing is None:
            return self._window(context)
        from vectorshift_orchestration.windows.clock import trailing_window

        return trailing_window(datetime.now(UTC), self.trailing, self.settle)
