"""Failed checks become alerts."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

import dagster as dg

from dagster_vectorshift.checks._evaluations import CheckedAsset, asset_key_of
from dagster_vectorshift.failures import as_invalid_definition
from dagster_vectorshift.sensors._alerts import Receipts
from dagster_vectorshift.sensors._history import TIME_BUDGET, evaluated
from vectorshift_orchestration.positions import Position
from vectorshift_orchestration.specs.documents import require_list
from vectorshift_orchestration.thresholds.alerts import Alert, deliver
from vectorshift_orchestration.thresholds.rules import Severity

_OVERLAP = timedelta(minutes=5)
"""Evaluations are recorded with the clocks of the machines that ran them, and appear a little later."""


def build_check_alert_sensor(
    notify: Callable[[Alert], object],
    *,
    name: str = "check_alerts",
    assets: Sequence[CheckedAsset] | None = None,
    checks: Sequence[str] | None = None,
    severity: Severity = "WARN",
    where: Callable[[Alert], bool] | None = None,
    max_age: timedelta | None = None,
    lookback: timedelta = timedelta(days=1),
    minimum_interval_seconds: int = 30,
    time_budget: float = TIME_BUDGET,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that calls `notify` for every check that failed, of any code location of the instance.

    A failed check does not fail its run unless it blocks, so run-failure sensors stay silent. Trouble
    that goes on is sent once; again when it becomes more severe, and when the check has passed in
    between. `notify` is called at least once for each: when it raises, the tick fails and the next
    one tries again, others are sent nevertheless; after a crash right behind it, it is called twice
    with the same `dedup_key`. What was sent is seen as observations of asset
    `vectorshift_alerts/<name>`.

    Args:
        notify: sends the alert and returns when it was taken; give it a timeout of a few seconds. A
            result that is false and not None, as Apprise gives it, counts as an error.
        name: the sensor's name. Sensors of different names send their alerts independently.
        assets: only checks of these; None is all.
        checks: only checks with these names; None is all.
        severity: the least that is sent.
        where: a further condition, such as `lambda alert: alert.partition != "2026-01-01"`.
        max_age: how long ago what failed may have ended, so that a backfill of old days stays
            silent; None is any time. A check without a window has the time at which it ran.
        lookback: how far back a new sensor reads, and one whose cursor cannot be read.
        minimum_interval_seconds: the time between two ticks.
        time_budget: seconds after which a tick that has sent something leaves the rest to the next.
        default_status: RUNNING starts the sensor with the code location.

    Raises `dg.DagsterInvalidDefinitionError` for `assets` or `checks` that are not a list, and for an
    unknown severity: no alert would ever be sent.
    """
    with as_invalid_definition():
        require_list(() if assets is None else assets, "assets")
        require_list(() if checks is None else checks, "checks")
    if severity not in get_args(Severity):
        raise dg.DagsterInvalidDefinitionError(f"severity= is WARN or ERROR, not {severity!r}.")
    keys = None if assets is None else {asset_key_of(asset) for asset in assets}

    def chosen(instance: dg.DagsterInstance, since: datetime, now: datetime) -> Iterator[Alert]:
        """The evaluations since then that failed and have to be sent."""
        for evaluation, alert in evaluated(instance, since):
            if (
                not evaluation.passed
                and (keys is None or evaluation.asset_key in keys)
                and (checks is None or alert.check in checks)
                and alert.severity in (severity, "ERROR")
                and (max_age is None or alert.about_until >= now - max_age)
                and (where is None or where(alert))
            ):
                yield alert

    @dg.sensor(
        name=name,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description="Sends an alert for every check that failed.",
    )
    def check_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = datetime.now(UTC)
        position = Position.read(context.cursor, now, now - lookback)
        alerts = chosen(context.instance, position.until - _OVERLAP, now)
        receipts = Receipts(context.instance, name)
        sent, remaining = deliver(alerts, notify, receipts, seconds=time_budget)
        return dg.SensorResult(
            cursor=Position(max(remaining or now, position.until)).cursor,
            skip_reason=f"{sent} alerts sent." if sent else "No check has failed since.",
        )

    return check_alerts
