"""Exports as assets: every event lands, a retry goes on with the same export, no URL is kept."""

import time
from datetime import timedelta
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest

from dagster_vectorshift import (
    DuckDBStorage,
    FileStorage,
    ParquetStorage,
    VectorShiftResource,
    build_export_asset,
    build_export_definitions,
    build_two_phase_export,
)
from dagster_vectorshift.exports import _ready
from tests.days import MIDNIGHT
from vectorshift import Analytics
from vectorshift.errors import InternalServerError

TODAY = MIDNIGHT.date()
DAY = TODAY - timedelta(days=2)
DAYS = dg.DailyPartitionsDefinition("2025-01-01")
EVENTS = Analytics.query(object_type="pipeline")


@pytest.fixture
def export(emulator, tmp_path, instance):
    """Materialize one day of an export; another call is another run in the same instance."""

    def run(asset, storage=None, day=DAY, **options):
        options = {"instance": instance} | options
        resources = {
            "vectorshift": VectorShiftResource(
                api_key=emulator.api_key, base_url=emulator.base_url
            ),
            "storage": storage or DuckDBStorage(path=str(tmp_path / "events.duckdb")),
        }
        return dg.materialize([asset], partition_key=str(day), resources=resources, **options)

    return run


@pytest.fixture
def options(tmp_path):
    """What the exports of this module have in common."""
    return {
        "partitions_def": DAYS,
        "query": EVENTS,
        "poll_interval": 0.05,
        "work_dir": str(tmp_path / "work"),
    }


@pytest.fixture
def truth(emulator):
    """The ids of a day's pipeline events."""
    return {
        row["span_id"]
        for row in emulator.truth(
            "SELECT span_id FROM events WHERE entity = 'pipeline'"
            f" AND start_time >= '{DAY}' AND start_time < '{DAY}'::DATE + 1"
        )
    }


def ids(path, relation="nightly"):
    """The span ids of a table, in a database file or of Parquet and CSV files."""
    with duckdb.connect(str(path)) as connection:
        return [row[0] for row in connection.sql(f"SELECT span_id FROM {relation}").fetchall()]


def ids_or_none(path):
    """The span ids of the table, none when it was never made."""
    with duckdb.connect(str(path)) as connection:
        result = connection.sql("SHOW TABLES").fetchall()
    return ids(path) if ("nightly",) in result else []


def told(result):
    """Metadata of the one materialization of a run."""
    (event,) = result.get_asset_materialization_events()
    return {
        name: getattr(value, "value", value)
        for name, value in event.materialization.metadata.items()
    }


def test_a_day_lands_in_the_table_once(export, options, truth, tmp_path):
    """Every event of the day is in the table once, after one run and after another."""
    nightly = build_export_asset("nightly", **options)
    first, again = told(export(nightly)), told(export(nightly))
    landed = ids(tmp_path / "events.duckdb")
    assert len(truth) > 3
    assert sorted(landed) == sorted(truth)
    assert first["dagster/partition_row_count"] == again["vectorshift/rows_replaced"] == len(truth)
    assert first["dagster/table_name"] == "events.main.nightly"


@pytest.mark.parametrize(
    ("storage", "pattern"),
    [(FileStorage, "read_csv('{}/nightly/*/*.csv')"), (ParquetStorage, "'{}/nightly/*/*.parquet'")],
)
def test_a_day_lands_as_a_file(export, options, truth, tmp_path, storage, pattern):
    """Without a database the day is one file, of the service's making or Parquet, at a fixed name."""
    nightly = build_export_asset("nightly", **options)
    place = tmp_path / "lake"
    metadata = told(export(nightly, storage(path=str(place))))
    export(nightly, storage(path=str(place)))
    assert sorted(ids(":memory:", pattern.format(place))) == sorted(truth)
    assert metadata["dagster/uri"].startswith(f"file://{place}/nightly/dt={DAY}/")


def test_a_retry_goes_on_with_the_same_export(export, options, truth, emulator, tmp_path):
    """A run that could not look at its task leaves it; the next run takes it and creates no other."""
    emulator.fault("export_poll", "status", code=409, times=0)
    emulator.reset_counters()
    assert not export(build_export_asset("nightly", **options), raise_on_error=False).success
    assert not truth & set(ids_or_none(tmp_path / "events.duckdb"))
    emulator.clear_faults()
    assert export(build_export_asset("nightly", **options)).success
    assert emulator.counters()["requests"]["export_create"] == 1
    assert sorted(ids(tmp_path / "events.duckdb")) == sorted(truth)


@pytest.mark.parametrize("by_daemon", [True, False])
def test_a_retried_run_leaves_what_has_landed(
    export, options, truth, emulator, instance, tmp_path, by_daemon
):
    """A run that the daemon starts again exports the days that are missing; one that a user does, every day."""
    nightly = build_export_asset(
        "nightly", backfill_policy=dg.BackfillPolicy.multi_run(3), **options
    )
    days = [str(DAY - timedelta(days=number)) for number in (2, 1, 0)]
    job = dg.Definitions(
        assets=[nightly],
        resources={
            "vectorshift": VectorShiftResource(
                api_key=emulator.api_key, base_url=emulator.base_url
            ),
            "storage": DuckDBStorage(path=str(tmp_path / "events.duckdb")),
        },
    ).resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": days[0],
        "dagster/asset_partition_range_end": days[-1],
    }

    def run(**more):
        return job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags=tags | {f"dagster/{name}": value for name, value in more.items()},
        )

    emulator.reset_counters()
    emulator.fault("download", "status", code=400, after=2, times=0)
    first = run()
    assert not first.success
    emulator.clear_faults()
    created = emulator.counters()["requests"]["export_create"]
    number = {"retry_number": "1"} if by_daemon else {}
    again = run(parent_run_id=first.run_id, root_run_id=first.run_id, **number)
    assert again.success
    landed = [event.partition for event in again.get_asset_materialization_events()]
    assert landed == days
    assert emulator.counters()["requests"]["export_create"] - created == (1 if by_daemon else 3)


def test_a_task_whose_time_is_up_is_given_up(export, options, truth, emulator, tmp_path):
    """A run that gave up waiting leaves nothing to go on with; the next run has the whole time."""
    emulator.fault("export_poll", "never_ready", times=0)
    emulator.reset_counters()
    assert not export(
        build_export_asset("nightly", **options | {"timeout": 0.3}), raise_on_error=False
    ).success
    emulator.clear_faults()
    assert export(build_export_asset("nightly", **options)).success
    assert emulator.counters()["requests"]["export_create"] == 2
    assert sorted(ids(tmp_path / "events.duckdb")) == sorted(truth)


@pytest.mark.parametrize("mode", ["sync", "no-poll"])
def test_an_export_that_is_ready_at_once_is_requested_once(export, options, emulator, truth, mode):
    """A service that answers with the file's address, and perhaps has no route to ask again, makes one export."""
    emulator.settings(export_mode=mode)
    emulator.reset_counters()
    metadata = told(export(build_export_asset("nightly", **options)))
    assert metadata["dagster/partition_row_count"] == len(truth)
    assert metadata["vectorshift/recreated"] == 0
    requested = emulator.counters()["requests"]
    assert (requested["export_create"], requested.get("export_poll", 0)) == (1, 0)


@pytest.mark.parametrize("route", ["export_poll", "export_create"])
def test_a_failed_export_is_requested_again_and_then_given_up(
    export, options, emulator, truth, route
):
    """A task that fails, later or at once, is re-created twice at most; the next run begins anew and succeeds."""
    emulator.fault(route, "task_failed", times=0)
    emulator.reset_counters()
    nightly = build_export_asset("nightly", **options)
    failed = export(nightly, raise_on_error=False)
    assert not failed.success
    assert emulator.counters()["requests"]["export_create"] == 3
    emulator.clear_faults()
    assert told(export(nightly))["dagster/partition_row_count"] == len(truth)


def test_two_phases_hold_no_slot_between_them(emulator, options, instance, tmp_path, truth):
    """The first asset asks, the sensor waits, the second lands; a tick that is repeated asks for nothing new."""
    defs = build_two_phase_export("nightly", **options)
    resources = {
        "vectorshift": VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url),
        "storage": DuckDBStorage(path=str(tmp_path / "events.duckdb")),
    }
    request, landing = defs.assets
    (sensor,) = defs.sensors
    run = {"partition_key": str(DAY), "resources": resources, "instance": instance}

    def tick():
        account = {"vectorshift": resources["vectorshift"]}
        repository = dg.Definitions.merge(
            defs, dg.Definitions(resources=resources)
        ).get_repository_def()
        with dg.build_sensor_context(
            instance=instance, resources=account, repository_def=repository
        ) as context:
            return sensor.evaluate_tick(context)

    emulator.settings(export_delay=0)
    emulator.fault("export_poll", "never_ready", times=0)
    emulator.reset_counters()
    task_id = told(dg.materialize([request], **run))["vectorshift/task_id"]
    waiting = tick()
    assert (waiting.run_requests, waiting.skip_message) == ([], "1 exports are pending.")
    emulator.clear_faults()
    keys = set()
    for _ in range(2):
        (requested,) = tick().run_requests
        assert requested.partition_key == str(DAY)
        assert task_id in requested.run_key
        keys.add(requested.run_key)
    assert len(keys) == 1
    assert told(dg.materialize([landing], **run))["dagster/partition_row_count"] == len(truth)
    assert tick().run_requests == []
    assert emulator.counters()["requests"]["export_create"] == 1


@pytest.fixture
def two_phase(emulator, options, instance, tmp_path):
    """An export in two assets: its runs, and ticks of its sensor."""
    account = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
    storage = DuckDBStorage(path=str(tmp_path / "events.duckdb"))

    class TwoPhase:
        def __init__(self):
            self.defs = build_two_phase_export("nightly", **options)
            self.asking, self.landing = self.defs.assets

        def run(self, asset, storage=storage, **given):
            given = {"partition_key": str(DAY), "raise_on_error": False} | given
            resources = {"vectorshift": account, "storage": storage}
            return dg.materialize([asset], resources=resources, instance=instance, **given)

        def tick(self, cursor=None):
            resources = dg.Definitions(resources={"vectorshift": account, "storage": storage})
            with dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                resources={"vectorshift": account},
                repository_def=dg.Definitions.merge(self.defs, resources).get_repository_def(),
            ) as context:
                return self.defs.sensors[0].evaluate_tick(context)

        def ask_for(self, *partitions):
            """Note requests as the first asset does."""
            for partition in partitions:
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        "nightly_request",
                        partition=partition,
                        metadata={_ready.TASK: f"task-{partition}"},
                    )
                )

    return TwoPhase()


def test_a_landing_that_failed_is_tried_again(two_phase, emulator, monkeypatch, tmp_path):
    """After a pause the sensor asks for it with another key; requested anew, with another one at once."""
    emulator.settings(export_delay=0)
    assert two_phase.run(two_phase.asking).success
    (first,) = two_phase.tick().run_requests
    broken = FileStorage(path="/proc/nowhere")
    assert not two_phase.run(two_phase.landing, broken, tags=first.tags).success
    assert two_phase.tick().run_requests == []
    monkeypatch.setattr(_ready, "_PAUSE", timedelta(0))
    (second,) = two_phase.tick().run_requests
    assert second.run_key != first.run_key
    monkeypatch.undo()
    assert two_phase.run(two_phase.asking).success
    (third,) = two_phase.tick().run_requests
    assert third.run_key not in (first.run_key, second.run_key)
    assert two_phase.run(two_phase.landing, tags=third.tags).success
    assert two_phase.tick().run_requests == []


def test_a_landing_is_not_tried_for_ever(two_phase, monkeypatch):
    """After some tries nothing is requested until somebody asks for the export again."""
    monkeypatch.setattr(_ready, "_PAUSE", timedelta(0))
    monkeypatch.setattr(_ready, "is_pending", lambda *_: False)
    two_phase.ask_for(str(DAY))
    keys = set()
    while result := two_phase.tick().run_requests:
        keys.add(result[0].run_key)
        broken = FileStorage(path="/proc/nowhere")
        assert not two_phase.run(two_phase.landing, broken, tags=result[0].tags).success
    assert len(keys) == 5


def test_every_open_request_is_looked_at(two_phase, options, monkeypatch, instance):
    """620 hours that wait are all seen, the oldest too, and what others reported is passed over."""
    hours = dg.HourlyPartitionsDefinition(f"{DAY - timedelta(days=30)}-00:00")
    two_phase.defs = build_two_phase_export("nightly", **options | {"partitions_def": hours})
    hours = hours.get_partition_keys()[:620]
    two_phase.ask_for(*hours)
    for partition in (hours[0], None):
        instance.report_runless_asset_event(
            dg.AssetMaterialization("nightly_request", partition=partition)
        )
    instance.report_runless_asset_event(dg.AssetMaterialization("nightly", partition=hours[1]))
    monkeypatch.setattr(_ready, "is_pending", lambda *_: False)
    result = {each.partition_key for each in two_phase.tick().run_requests}
    assert result == set(hours) - {hours[1]}


def test_a_tick_is_bounded_and_the_next_goes_on(two_phase, monkeypatch):
    """Looks that take long end the tick in time, and the next one begins with those that were not reached."""
    days = [f"2026-01-{day:02}" for day in range(1, 11)]
    two_phase.ask_for(*days)
    clock, seen = [0.0], []

    def look(client, task_id, seconds):
        seen.append(task_id)
        clock[0] += 10.0
        return True

    monkeypatch.setattr(_ready, "is_pending", look)
    monkeypatch.setattr(_ready, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    cursor = None
    for _ in range(3):
        cursor = two_phase.tick(cursor).cursor
    assert seen[:10] == [f"task-{day}" for day in days]
    assert len(seen) == 12


def test_one_failed_poll_does_not_end_the_others(two_phase, emulator, monkeypatch):
    """A look that fails is reported, and the others land; only when all fail the tick does."""
    two_phase.ask_for("2026-01-01", "2026-01-02")

    def look(client, task_id, seconds):
        if task_id.endswith("01"):
            raise InternalServerError("the service is down", status_code=503)
        return False

    monkeypatch.setattr(_ready, "is_pending", look)
    assert [each.partition_key for each in two_phase.tick().run_requests] == ["2026-01-02"]
    monkeypatch.setattr(_ready, "is_pending", lambda *_: look(None, "01", 0.0))
    with pytest.raises(InternalServerError):
        two_phase.tick()


def test_a_day_that_cannot_land_keeps_back_no_other(instance, options, tmp_path, emulator):
    """In one run over a range the other days land and are marked; the run fails in the end and names the bad one."""
    days = [DAY - timedelta(days=back) for back in (2, 1, 0)]
    place = tmp_path / "lake"
    (place / "nightly" / f"dt={days[1]}" / "part-0.csv" / "in the way").mkdir(parents=True)
    nightly = build_export_asset(
        "nightly", **options | {"backfill_policy": dg.BackfillPolicy.single_run()}
    )
    done = dg.materialize(
        [nightly],
        tags={
            "dagster/asset_partition_range_start": str(days[0]),
            "dagster/asset_partition_range_end": str(days[2]),
        },
        resources={
            "vectorshift": VectorShiftResource(
                api_key=emulator.api_key, base_url=emulator.base_url
            ),
            "storage": FileStorage(path=str(place)),
        },
        instance=instance,
        raise_on_error=False,
    )
    assert not done.success
    (failure,) = done.get_step_failure_events()
    assert f"partition {days[1]}" in str(failure.step_failure_data)
    marked = instance.get_materialized_partitions(dg.AssetKey("nightly"))
    assert marked == {str(days[0]), str(days[2])}
    statuses = instance.get_status_by_partition(
        dg.AssetKey("nightly"), [str(day) for day in days], options["partitions_def"]
    )
    assert [status.name for status in statuses.values()] == [
        "MATERIALIZED",
        "FAILED",
        "MATERIALIZED",
    ]


def test_an_export_comes_with_its_schedule(options):
    """The definitions hold the asset and a schedule that runs it; with two phases, the first of them."""
    for two_phase, first in ((False, "nightly"), (True, "nightly_request")):
        defs = build_export_definitions("nightly", two_phase=two_phase, **options)
        (schedule,) = defs.schedules
        assert schedule.name == f"{first}_schedule"
        assert schedule.job.selection.resolve(defs.assets) == {dg.AssetKey(first)}


def test_no_signed_url_is_kept(export, options, tmp_path):
    """Neither events nor files of the instance hold a download URL; the control, a task id, is found."""
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = export(build_export_asset("nightly", **options), instance=instance)
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert told(result)["vectorshift/task_id"].encode() in stored
    assert b"signature=" not in stored
    assert b"download_url" not in stored


@pytest.mark.parametrize("two_phase", [False, True])
def test_a_partition_is_exported_in_chunks(
    export, options, emulator, truth, tmp_path, instance, two_phase
):
    """Three exports at the service, one partition in the table; in two assets as in one."""
    emulator.reset_counters()
    options |= {"chunks": 3}
    if two_phase:
        defs = build_two_phase_export("events", **options)
        for asset in defs.assets:
            assert export(asset).success
    else:
        assert export(build_export_asset("events", **options)).success
    assert emulator.counters()["exports_created"] == 3
    with duckdb.connect(str(tmp_path / "events.duckdb"), read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        windows = connection.execute("SELECT row_count FROM _vectorshift_windows").fetchall()
    assert [(count,)] == windows == [(len(truth),)]
