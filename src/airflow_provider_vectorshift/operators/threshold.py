"""An operator: a rule about a window, which fails its task when the rule is broken."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from logging import INFO, WARNING
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.sdk import BaseOperator

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._arguments import inherited, is_literal
from airflow_provider_vectorshift._assets import publish_to_assets
from airflow_provider_vectorshift._schedules import warn_of_lost_hours
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.operators._windowed import WindowedOperator
from vectorshift_orchestration.values import as_json

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vectorshift.analytics import Query
    from vectorshift_orchestration.thresholds.rules import Rule

FailOn = Literal["error", "warn", "never"]

_FAILING: Mapping[str, frozenset[str]] = {
    "error": frozenset({"ERROR"}),
    "warn": frozenset({"ERROR", "WARN"}),
    "never": frozenset(),
}


class VectorShiftThresholdBreached(AirflowFailException):
    """A limit is exceeded. The text is the check's message, so a notifier may use `{{ exception }}`."""


class VectorShiftThresholdCheckOperator(WindowedOperator):
    """Judges a window by a rule: fails the task at once, or warns in its log, and says why.

    Whatever the verdict, it is the task's result (XCom), pushed before the task fails, so that
    notifiers and later tasks can read it: `ok`, `state` (ok, breached, insufficient_data),
    `severity` (WARN, ERROR or None), `observed`, `limit`, `sample`, `reason`, `window`, `rule`,
    `top_errors` (a list of `message` and `count`), `message`. Too few runs, or too short a history,
    are not a breach. It sends one request, and one more for the error messages behind a breach.

    Args:
        rule: an `Absolute`, `Rate`, `Change` or `Baseline` of `vectorshift_orchestration`, or its
            JSON form. Its texts may be templates, also where a number is meant.
        fail_on: `error` fails the task when the error limit is passed, `warn` also at the warn limit,
            `never` leaves it to later tasks.
        message: a Jinja template of the message, instead of the reason and the commonest error
            messages. It may name everything in the result, and what is in Airflow's context.
        every: which windows came before, for `Change` and `Baseline`: hour, day, week, month or
            year; windows of the same width by default.
        timezone: the zone whose days, weeks, months and years those are.
        query: which events: a `Query`, what its `to_dict` gives, or None for all.
        start: start of the window, an aware datetime or ISO 8601 text; the data interval's by
            default.
        end: its end, exclusive; the data interval's by default.
        lookback: widens the window into the past by this many windows.
        vectorshift_conn_id: connection of type `vectorshift`.

    Raises `VectorShiftThresholdBreached`, an `AirflowFailException`: trying again would judge the
    same window. Raises `AirflowFailException` for a rule, query, window or connection that cannot be
    used, and a message that cannot be rendered. Anything else fails the try, and retries apply.
    """

    template_fields: Sequence[str] = (
        *WindowedOperator.template_fields,
        "rule",
        "every",
        "timezone",
    )

    def __init__(
        self,
        *,
        rule: "Rule | Mapping[str, Any]",
        fail_on: FailOn = "error",
        message: str | None = None,
        every: str | None = None,
        timezone: str = "UTC",
        query: "Query | Mapping[str, Any] | None" = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: int | str = 0,
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**inherited(locals()), **kwargs)
        self.rule = as_json(rule)
        self.fail_on = fail_on
        self.message = message
        self.every = every
        self.timezone = timezone
        if fail_on not in _FAILING:
            raise ValueError(
                f"{self._name}: fail_on= is one of {', '.join(_FAILING)}, not {fail_on!r}."
            )
        if is_literal(self.rule):
            self._rule()
        self._check_calendar()
        if message is not None:
            self._check_message(message)
        if self._takes_data_interval:
            warn_of_lost_hours(self)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Judge, report, and fail according to `fail_on`."""
        from vectorshift_orchestration.thresholds.reports import judge

        with failing_fast(self._name):
            rule, window = self._rule(), self._window(context)
            with self._checking("query="):
                self._bound_query()
            with self._client() as client:
                verdict = judge(
                    client, self.query, rule, window, every=self.every, tz=self.timezone
                )
        if self.message is not None:
            verdict["message"] = self._rendered(self.message, verdict, context)
        if verdict["severity"] in _FAILING[self.fail_on]:
            self._push(context, verdict)
            raise VectorShiftThresholdBreached(verdict["message"])
        publish_to_assets(self, context, verdict)
        self.log.log(INFO if verdict["state"] == "ok" else WARNING, "%s", verdict["message"])
        return verdict

    def _push(self, context: "Context", verdict: Mapping[str, Any]) -> None:
        """Leave the verdict as Airflow would if the task succeeded."""
        if not self.do_xcom_push:
            return
        for key, value in verdict.items() if self.multiple_outputs else ():
            context["ti"].xcom_push(key=key, value=value)
        context["ti"].xcom_push(key="return_value", value=verdict)

    # --- the request ---

    def _rule(self) -> "Rule":
        from vectorshift_orchestration.thresholds.rules import rule_from_dict

        with self._checking("rule="):
            return rule_from_dict(self.rule)

    def _check_calendar(self) -> None:
        """Raise `SpecError` for a unit or zone that is known when the DAG is parsed, and does not exist."""
        for name, check, default in (("every", "unit", None), ("timezone", "zone", "UTC")):
            value = getattr(self, name)
            if value != default and is_literal(value):
                from vectorshift_orchestration.windows import edges

                with self._checking(f"{name}="):
                    getattr(edges, check)(value)

    def _check_message(self, message: Any) -> None:
        from jinja2 import TemplateSyntaxError

        if not isinstance(message, str):
            raise ValueError(f"{self._name}: message= is a Jinja template, not {message!r}.")
        try:
            self.get_template_env().parse(message)
        except TemplateSyntaxError as problem:
            raise ValueError(
                f"{self._name}: message= is not a Jinja template: {str(problem).rstrip('.')}."
            ) from problem

    def _rendered(self, message: str, verdict: Mapping[str, Any], context: "Context") -> str:
        try:
            # Not like an argument: an observation may be None.
            variables = cast("Context", {**context, **verdict})
            return str(BaseOperator.render_template(self, message, variables))
        except Exception as problem:  # whatever an expression in a template may raise
            raise AirflowFailException(
                f"{self._name}: message= cannot be rendered: {problem}. The verdict is: "
                f"{verdict['message']}"
            ) from problem
