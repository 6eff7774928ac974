"""Operators and sensors behind a wire that breaks: at each of a task's exchanges, in every way, the tries end in the truth, once."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import duckdb
import pytest
from airflow.sdk import DAG

from airflow_provider_vectorshift.hooks import VectorShiftHook
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
    VectorShiftThresholdCheckOperator,
)
from airflow_provider_vectorshift.sensors import (
    VectorShiftErrorCountSensor,
    VectorShiftExportSensor,
)
from tests.airflow.moved import TaskDeferred
from tests.airflow.running import MemoryStore, last_day, truth
from tests.broken_wires import (
    ANYWHERE,
    EXPORT,
    FIGURES,
    OF_FILES,
    POLL,
    STALE,
    UNREADABLE,
    at_once,
    faults,
    patience,
    tries,
)
from tests.fault_proxy import FaultProxy, hashed
from vectorshift_orchestration import Absolute

DAY = last_day()
DAYS = [*DAY.earlier(2), DAY]
UNTIL = {"start": DAY.start, "end": DAY.end}
WATCH = {"poke_interval": 0.02, "timeout": 30}
DEFERRED = {False: "here", True: "in the triggerer"}


def tried(task, context):
    """One try of a task as Airflow makes it: where it defers, its trigger runs, and the task goes on with what that told."""

    async def told(trigger):
        return (await anext(trigger.run())).payload

    def go_on(method, arguments):
        try:
            if method is None:
                return task.execute(context)
            return task.resume_execution(method, arguments, context)
        except TaskDeferred as deferral:
            event = {"event": asyncio.run(told(deferral.trigger))}
            return go_on(deferral.method_name, (deferral.kwargs or {}) | event)

    return go_on(None, None)


def context(map_index=-1, **more):
    """What a task finds around it in all of its tries."""
    ti = SimpleNamespace(
        map_index=map_index, start_date=datetime.now(UTC), xcom_push=lambda key, value: None
    )
    return {"task_state_store": MemoryStore(), "ti": ti, **more}


@pytest.fixture
def proxy(emulator, connect, monkeypatch, request):
    """What stands between the tasks and a service whose exports are ready at the second look."""
    monkeypatch.setattr("vectorshift.Retry", at_once)
    emulator.settings(export_mode="async", export_delay=0)
    with FaultProxy.before(emulator.base_url) as made:
        extra = {"time_precision": "us", "timeout": patience(request.node.callspec.params["name"])}
        connect(host=f"{made.origin}/v1", password=emulator.api_key, extra=extra)
        yield made


def export(day, database, **arguments):
    """A task that exports a day into a table."""
    target = {"table": "events", "duckdb_path": database, "poll_interval": 0.02}
    until = {"start": day.start, "end": day.end}
    return VectorShiftExportOperator(task_id="export", **target, **until, **arguments)


def rows_of(database, *arguments):
    """The rows of a database file's table, hashed."""
    with duckdb.connect(str(database)) as connection:
        return hashed(connection, *arguments)


@pytest.fixture(scope="module")
def undisturbed():
    """What comes of each operation over a wire that holds, once it is known."""
    return {}


@pytest.mark.parametrize("deferrable", DEFERRED, ids=DEFERRED.get)
@pytest.mark.parametrize("name", [*ANYWHERE, *OF_FILES])
def test_an_export_lands_over_a_broken_wire(
    name, deferrable, emulator, proxy, tmp_path, record_faults, undisturbed
):
    """One try mends it; an answer that cannot be read takes one more for the look and one for the count. At most two exports more."""
    if "export" not in undisturbed:
        assert tried(export(DAY, tmp_path / "true.db"), context())
        undisturbed["export"] = rows_of(tmp_path / "true.db")
    expected = undisturbed["export"]
    emulator.reset_counters()
    with record_faults(proxy) as seen:
        proxy.plan(*faults(name, EXPORT))
        around = context()
        number, result = tries(
            lambda: tried(export(DAY, tmp_path / "events.db", deferrable=deferrable), around)
        )
        seen.compare([each for (each,) in truth(emulator, DAY)], [key for key, _ in expected])
        seen.compare(expected, rows_of(tmp_path / "events.db"))
    assert number == (3 if name in UNREADABLE else 1)
    assert result["recreated"] <= 2
    assert emulator.counters()["exports_created"] <= 3


@pytest.mark.parametrize("deferrable", DEFERRED, ids=DEFERRED.get)
@pytest.mark.parametrize("name", [*ANYWHERE, *OF_FILES][::3])
def test_the_other_mapped_tasks_are_not_touched(
    name, deferrable, emulator, proxy, tmp_path, record_faults
):
    """Three days mapped into one table; the wire of the second breaks: it alone is tried again, and all days are whole."""
    database = tmp_path / "events.db"
    with DAG("nights", schedule=None) as dag:
        VectorShiftExportOperator.partial(
            task_id="export", table="events", duckdb_path=database
        ).expand_kwargs([{"start": day.start, "end": day.end} for day in DAYS])
    with record_faults(proxy) as seen:
        for number, day in enumerate(DAYS):
            proxy.plan(*faults(name, EXPORT) if number == 1 else ())
            around = context(number, dag=dag)
            needed, _ = tries(
                lambda day=day, around=around: tried(
                    export(day, database, deferrable=deferrable), around
                )
            )
            assert needed == (3 if number == 1 and name in UNREADABLE else 1)
        found = [key for key, _ in rows_of(database)]
        seen.compare([each for day in DAYS for (each,) in truth(emulator, day)], found)


def aggregate(folder):
    """Figures of a day, in a table."""
    return VectorShiftAggregateOperator(
        task_id="figures",
        metrics=["runs.sum", "errors.sum", "latency.p95"],
        group_by=["pipeline_id"],
        table="health",
        duckdb_path=folder / "health.db",
        **UNTIL,
    )


def check(folder):
    """A rule about a day, which holds."""
    rule = Absolute(metric="errors.sum", error=10_000)
    return VectorShiftThresholdCheckOperator(task_id="check", rule=rule, **UNTIL)


def wait_for_errors(folder, **arguments):
    """A sensor for errors, of which there are enough."""
    return VectorShiftErrorCountSensor(task_id="watch", threshold=0, **UNTIL, **WATCH, **arguments)


def wait_for_export(folder, **arguments):
    """A sensor for an export that was asked for before."""
    export_id = (folder / "export").read_text()
    return VectorShiftExportSensor(task_id="wait", export_id=export_id, **WATCH, **arguments)


OPERATIONS = {
    "aggregate": (aggregate, {}, FIGURES, 2),
    "threshold check": (check, {}, FIGURES, 2),
    "error count, poked": (wait_for_errors, {}, FIGURES, 2),
    "error count, deferred": (wait_for_errors, {"deferrable": True}, FIGURES, 1),
    "export, poked": (wait_for_export, {}, POLL, 2),
    "export, deferred": (wait_for_export, {"deferrable": True}, POLL, 1),
}
"""A task, its arguments, what it asks for, and which try succeeds after an answer that cannot be read; after all else the first."""


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (operation, name)
        for operation in OPERATIONS
        for name in ANYWHERE
        if name != STALE or operation.startswith("error count")  # the others ask once
    ],
)
def test_what_asks_gets_the_truth_over_a_broken_wire(
    operation, name, proxy, tmp_path, record_faults, undisturbed
):
    """The result and the rows are those of a wire that holds, by the try that is written down."""
    make, arguments, route, after_unreadable = OPERATIONS[operation]
    if route == POLL:
        with VectorShiftHook().get_conn() as client:
            export_id = client.query().export("CSV", "a.csv")["task_id"]
        (tmp_path / "export").write_text(export_id)

    def outcome():
        result = tried(make(tmp_path, **arguments), context())
        if operation != "aggregate":
            return [repr(result)]
        rows = rows_of(tmp_path / "health.db", "health", "bucket_start")
        (tmp_path / "health.db").unlink()
        return [*rows, result["rows"]]

    if operation.startswith("export") or operation not in undisturbed:  # each export has its own id
        undisturbed[operation] = outcome()
    with record_faults(proxy) as seen:
        proxy.plan(*faults(name, [route]))
        number, found = tries(outcome)
        seen.compare(undisturbed[operation], found)
    assert number == (after_unreadable if name in UNREADABLE else 1)
