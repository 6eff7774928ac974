"""`dagster dev` as it runs unattended: daemon, web server, run workers, and what is left when they die.

One process serves three code locations: tables that are backfilled and scheduled, the example with
alerts, and a project with components. What is told here happens in it at the same time.
LIVE_KILLS sets how many run workers are killed (10 unless set).
"""

import json
import os
import queue
import random
import signal
import sqlite3
import time
import zlib
from collections import Counter
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import dagster as dg
import duckdb
import pytest

from tests.dagster.live import SETTINGS, Dev, started, until
from tests.days import LAST_MIDNIGHT
from tests.sinks import Inbox, serving
from vectorshift_emulator import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Dagster's only public way to its evaluations goes with Dagster 2.
    pytest.mark.filterwarnings("ignore:.*get_event_records:DeprecationWarning"),
]
EXAMPLES = Path(__file__).parents[2] / "dags_examples" / "dagster"
TABLES = ("by_pipeline", "by_model", "by_hour", "errors")
EVERY_TABLE = (*TABLES, "messages")
TODAY = LAST_MIDNIGHT.date()
DAYS = [str(TODAY - timedelta(days=back)) for back in range(30, 0, -1)]
KILLS = int(os.environ.get("LIVE_KILLS", "10"))
KEYS = {name: f"sk_canary_{name}_5b1f07" for name in ("live", "nightly", "alerts", "yaml")}
LITERAL = "sk_canary_literal_5b1f07"
LIVE, ALERTS = "live_definitions.py", "alerts.py"
TRUTH = (
    "SELECT date_trunc('day', start_time)::VARCHAR AS day, pipeline_id, count(*) AS runs,"
    " count(*) FILTER (status = 'failure') AS errors FROM events"
    " WHERE entity = 'pipeline' AND is_run AND start_time >= '{first}' AND start_time < '{end}'"
    " GROUP BY ALL ORDER BY ALL"
)
COMPONENT = """
type: dagster_vectorshift.VectorShiftHealthComponent
attributes:
  account: {api_key: "{{ env.YAML_KEY }}", base_url: "{{ env.YAML_URL }}"}
  storage: {type: duckdb, path: "{{ env.YAML_DATABASE }}"}
  partitions: {type: daily, start_date: "2025-01-01"}
  tables:
    - {name: from_yaml, metrics: [runs.sum]}
"""
PROJECT = """
from pathlib import Path
from threading import Thread

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


START = "mutation ($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
STATE = """query ($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
  ... on Sensor { sensorState { id } } } }"""
STOP = "mutation ($id: String!) { stopSensor(id: $id) { __typename } }"
CURSOR = """mutation ($s: SensorSelector!, $c: String) {
  setSensorCursor(sensorSelector: $s, cursor: $c) { __typename } }"""
TICKS = """query ($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor {
  sensorState { ticks(limit: 20) { tickId status } } } } }"""
CHECKS = """query ($key: AssetKeyInput!, $name: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, limit: 10) {
    evaluation { success severity partition } } }"""
RESOURCES = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name
  allTopLevelResourceDetails { name configuredValues { key value type }
    configFields { name description defaultValueAsJson } }
  assetNodes { assetKey { path } description metadataEntries { label description } }
  schedules { name description } sensors { name description } } } } }"""
SCHEMAS = """{ repositoriesOrError { ... on RepositoryConnection { nodes { pipelines { name
  modes { resources { name configField { name defaultValueAsJson } } } } } } } }"""
EVENTS = """{ runsOrError { ... on Runs { results { runId runConfigYaml tags { key value }
  eventConnection { events { ... on MessageEvent { message }
    ... on MaterializationEvent { metadataEntries { label ... on TextMetadataEntry { text } } }
  } } } } } }"""


@dataclass
class World:
    """Everything around one `dagster dev`: where it lives, its accounts, and where alerts go."""

    home: Path
    port: int
    accounts: dict
    inbox: Inbox

    def dev(self):
        """A client of it, for one thread."""
        return Dev(self.home, self.port)

    def sql(self, name, statement):
        """Rows of a database, as soon as no run writes it."""

        def read():
            try:
                with duckdb.connect(str(self.home / f"{name}.duckdb")) as connection:
                    actual = connection.sql(statement)
                    return [None if actual is None else actual.fetchall()]
            except duckdb.IOException:
                return None

        return until(read)[0]

    def rows(self, names):
        """The rows of backfilled tables. The emulator's own sums of fractions differ in their last digits."""
        return {
            name: [
                tuple(round(value, 9) if isinstance(value, float) else value for value in row)
                for row in self.sql("live", f"FROM {name} ORDER BY ALL")
            ]
            for name in names
        }


def project(folder):
    """A project with one component, as `dg` lays it out."""
    package = folder / "src" / "shop"
    (package / "defs" / "health").mkdir(parents=True)
    for path in (package, package / "defs"):
        (path / "__init__.py").touch()
    (package / "definitions.py").write_text(PROJECT)
    (package / "defs" / "health" / "defs.yaml").write_text(COMPONENT)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "0"\nrequires-python = ">=3.11"\n'
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
    )
    return folder / "src"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """What each part of the module does in the same running `dagster dev`, by its function."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text(SETTINGS.format(events=home / "events"))
    source = project(home / "shop")
    with ExitStack() as stack:
        accounts = {
            name: stack.enter_context(serve(events=events, end=LAST_MIDNIGHT, api_key=KEYS[name]))
            for name, events in (("live", 2_000), ("nightly", 2_000), ("alerts", 0), ("yaml", 500))
        }
        inbox = stack.enter_context(serving(Inbox()))
        workspace = home / "workspace.yaml"
        here = Path(__file__).parent
        workspace.write_text(
            "load_from:\n"
            f"- python_file: {{relative_path: {here / LIVE}, location_name: {LIVE}}}\n"
            f"- python_file: {{relative_path: {EXAMPLES / ALERTS}, location_name: {ALERTS}}}\n"
            "- python_module: {module_name: shop.definitions, location_name: shop,"
            f" working_directory: {source}}}\n"
        )
        environment = {
            "LIVE_START": str(TODAY - timedelta(days=60)),
            "LIVE_LITERAL": LITERAL,
            "VECTORSHIFT_EXAMPLES_HOME": str(home),
            "VECTORSHIFT_API_KEY": KEYS["alerts"],
            "VECTORSHIFT_BASE_URL": accounts["alerts"].base_url,
            "ALERT_WEBHOOK_URL": inbox.url,
        }
        for name in ("live", "nightly", "yaml"):
            environment[f"{name.upper()}_KEY"] = KEYS[name]
            environment[f"{name.upper()}_URL"] = accounts[name].base_url
            environment[f"{name.upper()}_DATABASE"] = str(home / f"{name}.duckdb")
        environment["AUTOMATED_DATABASE"] = str(home / "automated.duckdb")
        was_up_to(home, DAYS[-6])
        port = stack.enter_context(started(home, workspace, environment))
        yield Live(World(home, port, accounts, inbox))


class Live:
    """What is done to the world at the same time, and what came of it."""

    def __init__(self, world):
        self.world = world
        self._done = {}
        scripts = (
            *((backfill, fail, be_killed), (catch_up,), (automate,)),
            *((alert, count), (run_the_component,)),
        )
        for parts in scripts:
            self._done |= {part: Future() for part in parts}
            Thread(target=self._do, args=(parts,), daemon=True).start()

    def _do(self, parts):
        """One part after another; what fails ends those after it as well."""
        try:
            for part in parts:
                self._done[part].set_result(part(self.world))
        except BaseException as problem:  # noqa: BLE001  # it is the test's, not the thread's
            for part in parts:
                if not self._done[part].done():
                    self._done[part].set_exception(problem)

    def result(self, part):
        """Wait for a part; raises what went wrong in it."""
        self._done[part].result()

    def finish(self):
        """Wait for every part."""
        wait(self._done.values())


def was_up_to(home, day):
    """What the instance knows when it was down since a day."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("nightly_runs", partition=day))


def partitions_of(instance, name):
    """The partitions of a table's materializations, by how often each was materialized."""
    records = instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
    return Counter(record.asset_materialization.partition for record in records)


def catch_up(world):
    """Wait for the schedule's first run."""
    dev = world.dev()
    (run, *_) = dev.finished(schedule_name="nightly")[::-1]
    dev.stop_schedules(LIVE)
    assert run.tags["dagster/asset_partition_range_start"] == DAYS[-5]
    assert run.tags["dagster/asset_partition_range_end"] == DAYS[-1]
    assert set(partitions_of(dev.instance, "nightly_runs")) == set(DAYS[-6:])
    landed = world.sql(
        "nightly",
        "SELECT bucket_start::DATE::VARCHAR, pipeline_id, runs_sum, errors_sum FROM nightly_runs"
        " ORDER BY ALL",
    )
    truth = world.accounts["nightly"].truth(TRUTH.format(first=DAYS[-5], end=TODAY))
    assert landed == [
        (row["day"][:10], row["pipeline_id"], row["runs"], row["errors"]) for row in truth
    ]
    assert landed


def automate(world):
    """Wait for the condition's first run."""
    dev = world.dev()
    (run, *_) = dev.finished(from_automation_condition="true")[::-1]
    dev.ask(
        STOP, id=dev.ask(STATE, s=sensor(LIVE, "automation"))["sensorOrError"]["sensorState"]["id"]
    )
    assert run.tags["dagster/partition"] == DAYS[-1]
    assert set(partitions_of(dev.instance, "automated_runs")) == {DAYS[-1]}
    (landed,) = world.sql("automated", "SELECT sum(runs_sum)::BIGINT FROM automated_runs")
    truth = world.accounts["nightly"].truth(TRUTH.format(first=DAYS[-1], end=TODAY))
    assert landed == (sum(row["runs"] for row in truth),)


def backfill(world):
    """Backfill 30 days of four tables."""
    dev, account = world.dev(), world.accounts["live"]
    account.reset_counters()
    runs = dev.finished(backfill=dev.backfill(TABLES, DAYS))
    assert [run.status.value for run in runs] == ["SUCCESS"]
    assert account.counters()["requests"] == {"aggregations": 1}
    for name in TABLES:
        records = dev.instance.fetch_materializations(dg.AssetKey(name), limit=100).records
        reported = {
            record.asset_materialization.partition: record.asset_materialization.metadata
            for record in records
        }
        assert set(reported) == set(DAYS)
        for day, metadata in reported.items():
            midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
            assert metadata["vectorshift/window_start"].value == midnight.timestamp()
            assert {"vectorshift/preview", "vectorshift/trend", "dagster/uri"} < set(metadata)
    judged = dev.instance.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    )
    actual = [record.event_log_entry.asset_check_evaluation for record in judged]
    for check in ("rate", "baseline"):
        assert {each.partition for each in actual if each.check_name == check} == set(DAYS)
    truth = account.truth(TRUTH.format(first=DAYS[0], end=TODAY))
    assert [
        (str(row[0])[:10], *row[1:4]) for row in world.sql("live", "FROM by_pipeline ORDER BY ALL")
    ] == [(row["day"][:10], row["pipeline_id"], row["runs"], row["errors"]) for row in truth]


def fail(world):
    """Let an insert fail, after the delete of its transaction."""
    dev, account = world.dev(), world.accounts["live"]
    before = world.rows(TABLES)
    columns = ", ".join(
        f"{name} {kind}" for name, kind, *_ in world.sql("live", "DESCRIBE by_pipeline")
    )
    world.sql("live", "ALTER TABLE by_pipeline RENAME TO original")
    world.sql("live", f"CREATE TABLE by_pipeline ({columns}, CHECK (pipeline_id <> 'pl_bad'))")
    world.sql("live", "INSERT INTO by_pipeline FROM original")
    account.insert([{"pipeline_id": "pl_bad", "start_time": f"{DAYS[-3]}T12:00:00Z"}])
    failed = dev.ended(dev.materialize(LIVE, "by_pipeline", DAYS[-3], max_retries=0))
    assert failed.is_failure
    assert "CHECK" in "".join(map(str, dev.instance.all_logs(failed.run_id)))
    assert world.rows(TABLES) == before
    account.reset()
    world.sql("live", "DROP TABLE by_pipeline")
    world.sql("live", "ALTER TABLE original RENAME TO by_pipeline")


def be_killed(world):
    """Backfill all tables again while each worker but the last is killed."""
    dev, account = world.dev(), world.accounts["live"]
    before = world.rows(TABLES)
    dice = random.Random(7)
    again = dev.backfill(EVERY_TABLE, DAYS)
    for kills in range(KILLS):
        run = until(lambda kills=kills: dict(enumerate(dev.runs(backfill=again)[::-1])).get(kills))

        def begun_or_over(run=run):
            return dev.worker(run.run_id) or dev.instance.get_run_by_id(run.run_id).is_finished

        worker = until(begun_or_over)
        assert worker is not True, f"the run ended before kill {kills + 1}"
        time.sleep(dice.uniform(0.0, 0.5))
        os.kill(worker, signal.SIGKILL)
    assert len(dev.finished(backfill=again)) == KILLS + 1
    rows = world.rows(EVERY_TABLE)
    assert {name: rows[name] for name in TABLES} == before
    for name in EVERY_TABLE:
        assert set(partitions_of(dev.instance, name)) == set(DAYS)
    (errors,) = account.truth(
        "SELECT count(*) AS events FROM events WHERE entity = 'pipeline' AND status = 'failure'"
        f" AND start_time >= '{DAYS[0]}' AND start_time < '{TODAY}'"
    )
    assert sum(row[2] for row in rows["messages"]) == errors["events"] > 0


def alert(world):
    """Let errors burst on the second of three days, and run the three in one run."""
    dev, account = world.dev(), world.accounts["alerts"]
    days = DAYS[-3:]
    for day in days:
        morning = datetime.fromisoformat(day).replace(hour=9, tzinfo=UTC)
        account.burst(50, at=morning, status="success")
    noon = datetime.fromisoformat(days[1]).replace(hour=12, tzinfo=UTC)
    account.burst(50, at=noon, error_message="quota exceeded")
    alerts = sensor(ALERTS, "check_alerts")
    dev.ask(START, s=alerts)
    again = dev.backfill(["run_health", "daily_report"], days)
    (run,) = until(lambda: dev.runs(backfill=again))
    assert dev.ended(run.run_id).is_failure
    assert partitions_of(dev.instance, "run_health") == dict.fromkeys(days, 1)
    assert not partitions_of(dev.instance, "daily_report")
    actual = dev.ask(CHECKS, key={"path": ["run_health"]}, name="error_rate")
    reported = [each["evaluation"] for each in actual["assetCheckExecutions"]]
    assert {each["partition"]: each["success"] for each in reported} == {
        days[0]: True,
        days[1]: False,
        days[2]: True,
    }
    assert {each["severity"] for each in reported if not each["success"]} == {"ERROR"}

    body = received(world.inbox, "run_health")
    assert (body["check"], body["partition"], body["severity"]) == ("error_rate", days[1], "ERROR")
    assert (body["observed"], body["limit"], body["sample"]) == (0.5, 0.2, 100)
    assert body["top_errors"] == [{"message": "quota exceeded", "count": 50}]

    seen = {each["tickId"] for each in ticks(dev, alerts)}
    dev.ask(CURSOR, s=alerts, c="no cursor at all")
    repeated = until(lambda: [each for each in ticks(dev, alerts) if each["tickId"] not in seen])
    assert {each["status"] for each in repeated} == {"SKIPPED"}
    with pytest.raises(queue.Empty):
        received(world.inbox, "run_health", seconds=0)


def count(world):
    """Let errors burst in the hour that is under way, and let the sensor see it."""
    dev = world.dev()
    began = datetime.now(UTC)
    world.accounts["alerts"].burst(150, at=began, error_message="quota exceeded")
    dev.ask(START, s=sensor(ALERTS, "pipeline_runs_error_count"))
    body = received(world.inbox, "pipeline_runs")
    assert (body["check"], body["severity"], body["run_id"]) == ("error_count", "ERROR", None)
    assert (body["partition"], body["observed"]) == (f"{began:%Y-%m-%d-%H}:00", 150)
    assert body["top_errors"] == [{"message": "quota exceeded", "count": 150}]
    seen = dev.instance.fetch_observations(dg.AssetKey("pipeline_runs"), limit=100).records
    assert f"{began:%Y-%m-%d-%H}:00" in {each.asset_observation.partition for each in seen}
    assert not any(
        dg.AssetKey("pipeline_runs") in (run.asset_selection or ())
        for run in dev.instance.get_runs()
    )


def sensor(location, name):
    """How GraphQL is told which sensor is meant."""
    return {
        "repositoryName": "__repository__",
        "repositoryLocationName": location,
        "sensorName": name,
    }


def received(inbox, asset, seconds=120):
    """The next alert about an asset; others of the instance have alerts of their own."""
    while True:
        body, _ = inbox.received.get(timeout=seconds)
        if body["asset"] == asset:
            return body


def ticks(dev, sensor):
    """The finished ticks of a sensor, newest first."""
    actual = dev.ask(TICKS, s=sensor)["sensorOrError"]["sensorState"]["ticks"]
    return [each for each in actual if each["status"] != "STARTED"]


def run_the_component(world):
    """Materialize a day of the table that is described in YAML, and let the control tell its key."""
    dev = world.dev()
    assert dev.ended(dev.materialize(LIVE, "talkative", None)).is_success
    assert dev.ended(dev.materialize("shop", "from_yaml", DAYS[-1])).is_success
    (rows,) = world.sql("yaml", "SELECT sum(runs_sum)::BIGINT FROM from_yaml")
    (truth,) = world.accounts["yaml"].truth(
        f"SELECT count(*) AS runs FROM events WHERE is_run AND start_time::DATE = '{DAYS[-1]}'"
    )
    assert rows == (truth["runs"],)


def test_the_schedule_catches_up_after_a_downtime(live):
    """The daemon ticks by itself, and its first run is of all days that were missed, up to the newest."""
    live.result(catch_up)


def test_an_automation_condition_runs_unattended(live):
    """The daemon evaluates the condition by itself, and the newest day lands."""
    live.result(automate)


def test_thirty_days_of_four_tables_are_one_run_and_one_request(live):
    """A backfill lands the truth, with metadata for each partition and an evaluation of each check for each."""
    live.result(backfill)


def test_a_failing_insert_leaves_the_old_partition_whole(live):
    """An insert that the database refuses in a run of the daemon changes no row."""
    live.result(fail)


def test_a_backfill_that_is_killed_again_and_again_lands_the_truth(live):
    """Run workers are killed while they write; the retries leave the rows of the first backfill, and no others."""
    live.result(be_killed)


def test_a_burst_stops_the_report_and_is_reported_once(live):
    """A bad day's check fails with ERROR, nothing downstream is made, one post for it, whatever the cursor."""
    live.result(alert)


def test_errors_are_counted_and_reported_without_a_run(live):
    """The daemon ticks the sensor: observations, a failed check and a post, and no run of Dagster's."""
    live.result(count)


def test_a_component_runs(live):
    """The table of a defs.yaml is materialized by the code server of a project."""
    live.result(run_the_component)


def test_keys_are_kept_nowhere(live):
    """No key is in the instance's files, snapshots and logs, or told by GraphQL; the literal of the control is."""
    live.finish()
    dev = live.world.dev()
    answers = [dev.ask(query) for query in (RESOURCES, SCHEMAS, EVENTS)]
    snapshots = []
    with closing(sqlite3.connect(next(live.world.home.rglob("runs.db")))) as database:
        for (body,) in database.execute("SELECT snapshot_body FROM snapshots"):
            snapshots.append(zlib.decompress(body).decode())
    files = [path.read_bytes() for path in live.world.home.rglob("*") if path.is_file()]
    places = {
        "GraphQL": json.dumps(answers),
        "snapshots": "\n".join(snapshots),
        "files": b"\n".join(files).decode(errors="replace"),
    }
    for place, content in places.items():
        assert not [key for key in KEYS.values() if key in content], place
        assert LITERAL in content, place
    for name in ("LIVE_KEY", "YAML_KEY"):
        assert name in places["GraphQL"]
        assert name in places["snapshots"]
