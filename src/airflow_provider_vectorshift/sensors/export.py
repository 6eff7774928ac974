"""A sensor: an export that was requested elsewhere is ready."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import PokeReturnValue

from airflow_provider_vectorshift._airflow import AirflowFailException, conf
from airflow_provider_vectorshift._arguments import (
    check_connection,
    check_flags,
    checking,
    is_literal,
    name_of,
)
from airflow_provider_vectorshift._assets import publish_to_assets
from airflow_provider_vectorshift._events import read_export_event
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.links import VectorShiftExportLink, show
from airflow_provider_vectorshift.sensors._in_triggerer import (
    check_nothing_lost,
    check_nothing_lost_mapped,
    check_triggerer_value,
)
from airflow_provider_vectorshift.sensors._time_limits import TimeLimitedSensor
from vectorshift.errors import VectorshiftError
from vectorshift_orchestration.exports.events import ExportEvent, poll_export, result_of
from vectorshift_orchestration.values import seconds

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.xcom_arg import XComArg

_FIRST_INTERVAL = 2.0


class VectorShiftExportSensor(TimeLimitedSensor):
    """Waits until an export is ready, for example one that an upstream task requested.

    The result (XCom) is the same in every mode: `export_id` and `status`, which is `ready`. An
    export that failed or that the service does not know fails the task at once, or skips it with
    `soft_fail`.

    In modes `poke` and `reschedule`, an error that may pass fails the try, or with `silent_fail`
    is only logged. Deferred, the task waits such errors out until the timeout.

    Args:
        export_id: the service's task id of the export; a template.
        vectorshift_conn_id: connection of type `vectorshift`; a template.
        deferrable: wait in the triggerer, without a worker slot; `mode` does not matter then.
        complete_in_triggerer: also end the task there. Nothing of it runs on a worker afterwards,
            and a failure is only in the trigger's log and follows the task's `retries`. Needs
            `deferrable`, and Airflow 3.3: before that a worker ends a task that has a result.
        start_from_trigger: also start the task there, so that no worker is used before the wait.
            Needs `deferrable`, an `export_id` that the triggerer can fill in, and Airflow 3.3:
            before that the task starts on a worker.
        poke_interval: seconds between polls. Deferred, the polls begin after 2 s and grow rarer
            until they are this far apart.
        timeout: seconds from the first poll until the task gives up, in every mode.

    Everything else is as in `BaseSensorOperator`.

    Raises ValueError, when the DAG is parsed, for arguments that exclude each other and for an
    `export_id` with which the task would hang. Raises, without retries, `AirflowFailException` for
    a failed or unknown export, a refused key, a missing connection, or an `export_id` that is not a
    string, and `AirflowSensorTimeout` at the timeout.
    """

    template_fields: Sequence[str] = ("export_id", "vectorshift_conn_id")
    operator_extra_links = (VectorShiftExportLink(),)
    export_url = ""
    """The address of the export in the API, once it was polled; `VectorShiftExportLink` shows it."""
    ui_color = "#e6e4ff"

    def __init__(
        self,
        *,
        export_id: "str | XComArg",
        vectorshift_conn_id: str = VectorShiftHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        complete_in_triggerer: bool = False,
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.export_id = export_id
        self.vectorshift_conn_id = vectorshift_conn_id
        self.deferrable = deferrable
        self.complete_in_triggerer = complete_in_triggerer
        self._check_arguments(start_from_trigger)
        if start_from_trigger:
            self._start_from_trigger()

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As in `BaseOperator`. Raises ValueError for `start_from_trigger`, which Airflow cannot map,
        and for what `complete_in_triggerer` would lose.
        """
        with checking(f"{cls.__name__} {kwargs.get('task_id')!r}"):
            if kwargs.get("start_from_trigger"):
                raise ValueError(
                    "start_from_trigger= does not work with mapped tasks, which Airflow starts on a "
                    "worker. Leave it out."
                )
            if kwargs.get("complete_in_triggerer"):
                check_nothing_lost_mapped(kwargs)
        return super().partial(**kwargs)

    def execute(self, context: "Context") -> Any:
        """Wait here, or poll once and go on waiting in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        with self._skipping():
            try:
                event = self._poll()
            except VectorshiftError as error:  # it may pass, and the trigger tries again
                self.log.warning("Export %s could not be polled: %s", self.export_id, error)
                event = None
            if event is None:
                self._show(context)
                self._defer(self._longest_wait(context))
            return self._finished(context, event)

    def poke(self, context: "Context") -> PokeReturnValue:
        """Poll once. Raises what `execute` raises, except for the timeout."""
        event = self._poll()
        if event is None:
            self._show(context)
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._finished(context, event))

    def execute_complete(self, context: "Context", event: Any) -> dict[str, Any]:
        """Return the result of the trigger's event."""
        return self._finished(context, read_export_event(event))

    def _defer(self, wait: float) -> NoReturn:
        from airflow_provider_vectorshift.triggers.export import VectorShiftExportTrigger

        trigger = VectorShiftExportTrigger(
            export_id=self._identifier, deadline=time.time() + wait, **self._trigger_arguments
        )
        self._wait_in_triggerer(trigger, wait)

    # --- arguments ---

    def _check_arguments(self, start_from_trigger: bool) -> None:
        check_flags(self, "deferrable", "complete_in_triggerer")
        in_triggerer = {
            "complete_in_triggerer": self.complete_in_triggerer,
            "start_from_trigger": start_from_trigger,
        }
        with checking(self._name):
            for name, value in in_triggerer.items():
                if value and not self.deferrable:
                    raise ValueError(f"{name}=True needs deferrable=True.")
            if self.complete_in_triggerer:
                check_nothing_lost(self, starts_in_triggerer=start_from_trigger)
            seconds("poke_interval", self.poke_interval)
            export_id = self.export_id
            if is_literal(export_id) and not isinstance(export_id, str):
                raise ValueError(
                    f"export_id= is the text of an export's task_id, not {export_id!r}."
                )
            if isinstance(export_id, str) and not export_id.strip():
                raise ValueError("export_id= is empty.")
        check_connection(self._name, self.vectorshift_conn_id)

    def _start_from_trigger(self) -> None:
        with checking(self._name):
            for name in self.template_fields:
                check_triggerer_value(name, getattr(self, name))
        from airflow.triggers.base import BaseTrigger, StartTriggerArgs

        from airflow_provider_vectorshift.triggers._waiting import GRACE
        from airflow_provider_vectorshift.triggers.export import VectorShiftExportTrigger

        if not hasattr(BaseTrigger, "render_template_fields"):
            return  # before Airflow 3.3
        wait = self._longest_wait({})
        trigger = VectorShiftExportTrigger(
            export_id=str(self.export_id), timeout=wait, **self._trigger_arguments
        )
        path, arguments = trigger.serialize()
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=path,
            trigger_kwargs=arguments,
            next_method=self.execute_complete.__name__,
            timeout=timedelta(seconds=wait) + GRACE,
        )

    @property
    def _name(self) -> str:
        return name_of(self)

    @property
    def _identifier(self) -> str:
        """The id, with its template filled in."""
        if isinstance(self.export_id, str) and self.export_id.strip() not in ("", "None"):
            return self.export_id
        raise AirflowFailException(
            f"{self._name}: export_id= should be the text of an export's task_id, but came out as "
            f"{'empty' if isinstance(self.export_id, str) else type(self.export_id).__name__}. "
            "Let the upstream task return that id alone."
        )

    @property
    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "vectorshift_conn_id": self.vectorshift_conn_id,
            "poll_interval": min(_FIRST_INTERVAL, self.poke_interval),
            "longest_interval": self.poke_interval,
            "complete_in_triggerer": self.complete_in_triggerer,
            "soft_fail": self.soft_fail or self.never_fail,
            "do_xcom_push": self.do_xcom_push,
        }

    # --- looking ---

    def _poll(self) -> ExportEvent | None:
        """The event of the export; None while it is pending."""
        with failing_fast(self._name):  # a template of the connection came out as nothing
            check_connection(self._name, self.vectorshift_conn_id)
        return poll_export(VectorShiftHook(self.vectorshift_conn_id).get_conn, self._identifier)

    def _show(self, context: Mapping[str, Any]) -> None:
        """Make the link lead to the export."""
        if not self.export_url:
            base_url = VectorShiftHook(self.vectorshift_conn_id).base_url
            show(self, context, base_url, self._identifier)

    def _finished(self, context: Mapping[str, Any], event: ExportEvent) -> dict[str, Any]:
        export_id, error = event["export_id"], event["error"]
        if event["status"] != "refused":
            self._show(context)
        match event["status"]:
            case "ready":
                result = result_of(event)
                publish_to_assets(self, context, result)
                return result
            case "timeout":
                raise self._not_in_time(f"export {export_id} was not ready", error)
            case "failed":
                raise AirflowFailException(f"{self._name}: export {export_id} failed: {error}")
            case "missing":
                raise AirflowFailException(
                    f"{self._name}: the service knows no export {export_id}: {error} If it knows no "
                    "other one either, check the connection's base URL, with its /v1."
                )
            case "refused":
                raise AirflowFailException(f"{self._name}: {error}")

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """A failure as `BaseSensorOperator` takes it, which it only does around `poke` and a resumption."""
        try:
            yield
        except AirflowFailException as error:
            self._skip(error)
            raise
