"""`dagster dev` as it runs unattended: daemon, web server, run workers, and what is left when they die.

LIVE_KILLS sets how many run workers are killed (3 unless set).
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Dagster's only public way to its evaluations goes with Dagster 2.
    pytest.mark.filterwarnings("ignore:.*get_event_records:DeprecationWarning"),
]
TABLES = ("by_pipeline", "by_model", "by_hour", "errors")
TODAY = datetime.now(UTC).date()
DAYS = [str(TODAY - timedelta(days=back)) for back in range(30, 0, -1)]
KILLS = int(os.environ.get("LIVE_KILLS", "3"))
TRUTH = (
    "SELECT date_trunc('day', start_time)::VARCHAR AS day, pipeline_id, count(*) AS runs,"
    " count(*) FILTER (status = 'failure') AS errors FROM events"
    " WHERE entity = 'pipeline' AND is_run AND start_time >= '{first}' AND start_time < '{end}'"
    " GROUP BY ALL ORDER BY ALL"
)
RESOURCES = """
{ allTopLevelResourceDetailsOrError(repositorySelector: {
    repositoryName: "__repository__", repositoryLocationName: "live_definitions.py"}) {
  ... on ResourceDetailsList { results { name configuredValues { key value type }
    configFields { name defaultValueAsJson } } } } }
"""
BACKFILL = """
mutation ($keys: [AssetKeyInput!]!, $names: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: $keys, partitionNames: $names}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""


class Dev:
    """A running `dagster dev` and the emulator that it talks to."""

    def __init__(self, home, database, emulator, port):
        self.home, self.database, self.emulator, self.port = home, database, emulator, port
        self.instance = dg.DagsterInstance.from_config(str(home))

    def ask(self, query, **variables):
        """One GraphQL request."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def until(self, what, *, seconds=240):
        """Wait until `what()` gives something."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"{what.__name__} did not come to pass"
            time.sleep(0.1)
        return found

    def backfill(self):
        """Launch the backfill of 30 days of all tables, return its id."""
        reply = self.ask(BACKFILL, keys=[{"path": [name]} for name in TABLES], names=DAYS)
        told = reply["data"]["launchPartitionBackfill"]
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return told["backfillId"]

    def runs(self, backfill):
        """The runs of a backfill."""
        return self.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))

    def ended(self, backfill):
        """Wait for the backfill's success and return its runs."""

        def succeeded():
            status = self.ask(
                "query ($id: String!) { partitionBackfillOrError(backfillId: $id) {"
                " ... on PartitionBackfill { status } } }",
                id=backfill,
            )["data"]["partitionBackfillOrError"]["status"]
            return status == "COMPLETED_SUCCESS"

        self.until(succeeded)
        return self.runs(backfill)

    def rows(self):
        """Every table's rows. The emulator's own sums of fractions differ in their last digits."""

        def read():
            try:
                with duckdb.connect(str(self.database), read_only=True) as connection:
                    return {
                        name: [tuple(map(rounded, row)) for row in rows_of(connection, name)]
                        for name in TABLES
                    }
            except duckdb.IOException:  # a run worker has the file
                return None

        return self.until(read)

    def stop_schedule(self):
        """Stop the schedule, and wait for its last run."""
        found = self.ask(
            '{ schedulesOrError(repositorySelector: {repositoryName: "__repository__",'
            ' repositoryLocationName: "live_definitions.py"}) { __typename ... on Schedules'
            " { results { name scheduleState { id } } } } }"
        )["data"]["schedulesOrError"]["results"]
        for each in found:
            self.ask(
                "mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename } }",
                id=each["scheduleState"]["id"],
            )

        def quiet():
            return all(run.is_finished for run in self.instance.get_runs())

        self.until(quiet)

    def workers(self):
        """The processes that execute runs: Dagster starts each by multiprocessing."""
        return [pid for pid in descendants(self.process.pid) if "spawn_main" in command(pid)]


def rows_of(connection, name):
    """A table's rows in order."""
    return connection.sql(f"FROM {name} ORDER BY ALL").fetchall()


def rounded(value):
    """A fraction without its last digits; anything else as it is."""
    return round(value, 9) if isinstance(value, float) else value


def command(pid):
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def descendants(pid):
    """The children of a process, and theirs."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
        except OSError:
            continue
    return found


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(emulator, folder):
    """`dagster dev` over the live definitions, ended with everything that it started."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nnux: {enabled: false}\n"
        "run_retries: {enabled: true, max_retries: 40}\n"
        "concurrency: {pools: {default_limit: 1, granularity: run}}\n"
    )
    dev = Dev(home, folder / "health.duckdb", emulator, free_port())
    code = Path(__file__).with_name("live_definitions.py")
    log = (folder / "dev.log").open("wb")
    dev.process = subprocess.Popen(
        [
            *(Path(sys.executable).parent / "dagster", "dev", "-f", code),
            *("-h", "127.0.0.1", "-p", str(dev.port)),
        ],
        env=os.environ
        | {
            "DAGSTER_HOME": str(home),
            "VECTORSHIFT_API_KEY": emulator.api_key,
            "VECTORSHIFT_BASE_URL": emulator.base_url,
            "LIVE_DATABASE": str(dev.database),
            "LIVE_START": str(TODAY - timedelta(days=60)),
        },
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield dev
    finally:
        started_by_us = descendants(dev.process.pid)
        dev.process.send_signal(signal.SIGINT)
        try:
            dev.process.wait(30)
        except subprocess.TimeoutExpired:
            dev.process.kill()
            dev.process.wait()
        for pid in started_by_us:
            if "dagster" in command(pid) or "spawn_main" in command(pid):
                os.kill(pid, signal.SIGKILL)
        log.close()
        dev.instance.dispose()


def partitions_of(instance, name):
    """The partitions of a table's materializations, by how often each was materialized."""
    records = instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
    return Counter(record.asset_materialization.partition for record in records)


def test_it_runs_unattended_and_survives_kills(emulator, tmp_path):
    """The schedule fires by itself; a backfill of 30 days x 4 tables is one run and one request, also when killed."""
    with started(emulator, tmp_path) as dev:

        def scheduled():
            return [
                run
                for run in dev.instance.get_runs()
                if run.tags.get("dagster/schedule_name") == "health" and run.is_success
            ]

        (first, *_) = dev.until(scheduled)
        assert first.tags["dagster/asset_partition_range_end"] == DAYS[-1]
        assert set(partitions_of(dev.instance, "errors")) == set(DAYS[-2:])
        dev.stop_schedule()

        emulator.reset_counters()
        assert [run.status.value for run in dev.ended(dev.backfill())] == ["SUCCESS"]
        assert emulator.counters()["requests"] == {"aggregations": 1}
        for name in TABLES:
            assert set(partitions_of(dev.instance, name)) == set(DAYS)
        rows = dev.rows()
        truth = emulator.truth(TRUTH.format(first=DAYS[0], end=TODAY))
        assert [(str(row[0])[:10], *row[1:4]) for row in rows["by_pipeline"]] == [
            (row["day"][:10], row["pipeline_id"], row["runs"], row["errors"]) for row in truth
        ]
        judged = dev.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        )
        found = [record.event_log_entry.asset_check_evaluation for record in judged]
        assert {each.partition for each in found if each.check_name == "rate"} == set(DAYS)
        told = json.dumps(dev.ask(RESOURCES))
        kept = [path.read_bytes() for path in dev.home.rglob("*") if path.is_file()]
        assert "VECTORSHIFT_API_KEY" in told
        assert emulator.api_key not in told
        assert any(b"by_pipeline" in content for content in kept)
        assert not any(emulator.api_key.encode() in content for content in kept)

        assert len(dev.ended(dev.backfill())) == 1
        assert dev.rows() == rows

        dice, killed = random.Random(7), 0
        backfill = dev.backfill()
        while killed < KILLS:
            (worker, *_) = dev.until(dev.workers)
            time.sleep(dice.uniform(0.2, 4.0))
            if worker in dev.workers():
                os.kill(worker, signal.SIGKILL)
                killed += 1
            elif not dev.workers() and all(run.is_success for run in dev.runs(backfill)):
                backfill = dev.backfill()
        dev.ended(backfill)
        assert killed == KILLS
        assert dev.rows() == rows
