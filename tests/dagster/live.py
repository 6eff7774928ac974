"""A running `dagster dev` with several code locations: how tests start it, ask it and end it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import dagster as dg

from tests.processes import free_port

SETTINGS = """
telemetry: {{enabled: false}}
nux: {{enabled: false}}
run_retries: {{enabled: true, max_retries: 40, retry_on_asset_or_op_failure: false}}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {{dequeue_interval_seconds: 1}}
concurrency: {{pools: {{default_limit: 1, granularity: run}}}}
event_log_storage:
  module: tests.dagster.ordered_events
  class: OrderedEvents
  config: {{base_dir: '{events}'}}
"""
BACKFILL = """mutation ($keys: [AssetKeyInput!]!, $names: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: $keys, partitionNames: $names}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUN = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
SCHEDULES = """query ($s: RepositorySelector!) { schedulesOrError(repositorySelector: $s) {
  ... on Schedules { results { name scheduleState { id } } } } }"""
STOP = "mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename } }"
PROCESS = re.compile(r"Started process for run \(pid: (\d+)\)")


class Dev:
    """A running `dagster dev`: its GraphQL, its instance, its runs. Not for use by several threads."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        self.instance = dg.DagsterInstance.from_config(str(home))

    def ask(self, query, **variables):
        """The data of one GraphQL request."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urlopen(request, timeout=60) as reply:
                answer = json.load(reply)
        except HTTPError as problem:
            problem.add_note(problem.read().decode()[-4000:])
            raise
        assert "errors" not in answer, answer
        return answer["data"]

    def backfill(self, names, days):
        """Launch a backfill of assets over days, return its id."""
        reported = self.ask(BACKFILL, keys=[{"path": [name]} for name in names], names=days)
        assert reported["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", (
            reported
        )
        return reported["launchPartitionBackfill"]["backfillId"]

    def materialize(self, location, name, day, **tags):
        """Launch a run of one asset, or of one partition of it, and return its id."""
        tags = {f"dagster/{key}": str(value) for key, value in tags.items()}
        if day is not None:
            tags["dagster/partition"] = day
        params = {
            "selector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": location,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": [name]}],
                "assetCheckSelection": [],
            },
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }
        reported = self.ask(RUN, params=params)["launchRun"]
        assert reported["__typename"] == "LaunchRunSuccess", reported
        return reported["run"]["runId"]

    def runs(self, **tags):
        """The runs with these tags, the newest first."""
        result = {f"dagster/{name}": value for name, value in tags.items()}
        return self.instance.get_runs(dg.RunsFilter(tags=result))

    def finished(self, **tags):
        """Wait for a run with these tags that has ended, after its retries; return all of them."""

        def succeeded():
            result = self.runs(**tags)
            return result if any(each.is_success for each in result) else None

        return until(succeeded)

    def ended(self, run_id):
        """Wait for the end of a run and return it."""
        return until(
            lambda: run if (run := self.instance.get_run_by_id(run_id)).is_finished else None
        )

    def worker(self, run_id):
        """The process that writes for a run: its id once the run's step has begun, else None."""
        entries = self.instance.all_logs(run_id)
        begun = any(entry.dagster_event and entry.dagster_event.is_step_start for entry in entries)
        reported = PROCESS.search("\n".join(entry.message for entry in entries))
        return int(reported[1]) if begun and reported else None

    def stop_schedules(self, location):
        """Stop the schedules of a code location."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": location}
        for each in self.ask(SCHEDULES, s=selector)["schedulesOrError"]["results"]:
            self.ask(STOP, id=each["scheduleState"]["id"])


def until(what, *, seconds=480):
    """Ask again and again until `what()` gives something, and return that."""
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"{what.__qualname__} did not come to pass"
        time.sleep(0.05)
    return result


@contextmanager
def started(home, workspace, environment, *, python=sys.executable, kind="-w"):
    """The port of a `dagster dev` over a workspace, or with `-f` a file, ended with everything that it started.

    `home` is its DAGSTER_HOME with a dagster.yaml. What it prints goes to `<home>/dev.log`.
    """
    port = free_port()
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(Path(python).parent / "dagster", "dev", kind, workspace),
                *("-h", "127.0.0.1", "-p", str(port)),
            ],
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ
            | {
                "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
                "DAGSTER_HOME": str(home),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
                **environment,
            },
        )

        def answers():
            assert process.poll() is None, (home / "dev.log").read_text()
            try:
                with urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as reply:
                    return reply.status == 200
            except OSError:
                return False

        try:
            until(answers)
            yield port
        finally:
            with suppress(ProcessLookupError):  # its group is all that it started, run workers too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
