"""Dagster's half of `make up`: every schedule and sensor on, thirty days materialized, checks evaluated."""

from collections import Counter
from datetime import date, timedelta
from functools import partial
from typing import Any

import httpx
import stack
from board import Board
from processes import Processes

ASSETS = (
    "pipeline_health",
    "model_health",
    "error_sources",
    "run_health",
    "error_messages",
)
EVENTS = "pipeline_events"
"""Its exports come one day at a time, so that only the last ones are made here; a backfill brings the others."""
EVENT_DAYS = 3
REPORTED = "daily_run_health"
"""The job with the report that a check blocks for a day with too many failed runs: some of the thirty have them, the
last has not. So all days are materialized without that check, and the last one once more by this job."""
BLOCKING = "error_rate"
LOADED = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name }
  schedules { name pipelineName } sensors { name } } } } }"""
START_SCHEDULE = """mutation ($it: ScheduleSelector!) { startSchedule(scheduleSelector: $it) {
  __typename ... on PythonError { message } } }"""
START_SENSOR = """mutation ($it: SensorSelector!) { startSensor(sensorSelector: $it) {
  __typename ... on PythonError { message } } }"""
LAUNCH = """mutation ($it: ExecutionParams!) { launchRun(executionParams: $it) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query ($it: ID!) { runOrError(runId: $it) { ... on Run { status pipelineName } } }"""
CHECKS = """{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks { name
  executionForLatestMaterialization { status evaluation { severity } } } } } } }"""
COUNTS = """{ assetNodes { assetKey { path } partitionStats { numMaterialized } } }"""


def _span(first: date, last: date) -> dict[str, date]:
    return {"asset_partition_range_start": first, "asset_partition_range_end": last}


class Dagster:
    """`dagster dev`, asked over GraphQL.

    Args:
        url: where it is, without a slash at the end.
        first, last: the days that are materialized.
    """

    def __init__(
        self, url: str, processes: Processes, board: Board, first: date, last: date
    ) -> None:
        self._url, self._processes, self._board = url, processes, board
        self._http = httpx.Client(base_url=url, timeout=120, trust_env=False)
        self._first, self._last = first, last
        self._where: dict[str, str] = {}

    def start(self) -> None:
        """Start it, and turn everything on."""
        with self._board.step("dagster") as step:
            step.text = "starting"
            loaded = ["-d", str(stack.EXAMPLES / "dagster"), "-m", "everything"]
            port = self._url.rpartition(":")[2]
            self._processes.start(
                "dagster", "dagster", "dev", *loaded, "-h", "127.0.0.1", "-p", port
            )
            self._processes.answers("dagster", f"{self._url}/server_info")
            step.text = self._turn_on()
        self._board.opened("dagster", f"is up at {self._url}/ (no login)")

    def watch(self) -> None:
        """Materialize all days, and the last one with its report."""
        with self._board.step("partitions") as step:

            def succeeded(run_id: str) -> bool:
                run = self._query(RUN, run_id)["runOrError"]
                if run["status"] in ("FAILURE", "CANCELED"):
                    raise stack.StepFailed(f"Dagster's run {run_id} failed; see {self._url}/runs")
                step.text = f"{run['pipelineName'].strip('_').lower()}: {run['status'].lower()}"
                return bool(run["status"] == "SUCCESS")

            events = self._launch_events()
            for launch in (self._launch_all_days, self._launch_last_day, lambda: events):
                run_id = launch()
                self._processes.until(
                    partial(succeeded, run_id), "not every partition is materialized", pause=2
                )
            step.text = self._materialized()

    def _turn_on(self) -> str:
        """Start every schedule and sensor."""
        (repository,) = self._query(LOADED)["repositoriesOrError"]["nodes"]
        self._where = {
            "repositoryName": repository["name"],
            "repositoryLocationName": repository["location"]["name"],
        }
        schedules, sensors = repository["schedules"], repository["sensors"]
        for each in schedules:
            self._query(START_SCHEDULE, self._where | {"scheduleName": each["name"]})
        for each in sensors:
            self._query(START_SENSOR, self._where | {"sensorName": each["name"]})
        return f"{len(schedules)} schedules and {len(sensors)} sensors are on"

    def _launch_all_days(self) -> str:
        checks = [
            {"assetKey": node["assetKey"], "name": check["name"]}
            for node in self._query(CHECKS)["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
            if node["assetKey"]["path"][0] in ASSETS
            and check["name"] not in (BLOCKING, "freshness_check")
        ]
        everything = {
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [name]} for name in ASSETS],
            "assetCheckSelection": checks,
        }
        return self._launch(everything, _span(self._first, self._last))

    def _launch_events(self) -> str:
        first = self._last - timedelta(days=EVENT_DAYS - 1)
        events = {"pipelineName": "__ASSET_JOB", "assetSelection": [{"path": [EVENTS]}]}
        return self._launch(events | {"assetCheckSelection": []}, _span(first, self._last))

    def _launch_last_day(self) -> str:
        return self._launch({"pipelineName": REPORTED}, {"partition": self._last})

    def _launch(self, selector: dict[str, Any], tags: dict[str, date]) -> str:
        """Launch a run with these tags of Dagster's, and return its id."""
        tag_list = [{"key": f"dagster/{name}", "value": str(day)} for name, day in tags.items()]
        selected = {"selector": self._where | selector, "executionMetadata": {"tags": tag_list}}
        run_id: str = self._query(LAUNCH, selected)["launchRun"]["run"]["runId"]
        return run_id

    def _materialized(self) -> str:
        """How many days there are of each asset, and what its checks say, in words."""
        counts = {
            each["assetKey"]["path"][0]: (each["partitionStats"] or {}).get("numMaterialized", 0)
            for each in self._query(COUNTS)["assetNodes"]
        }
        days = min(counts[name] for name in ASSETS)
        outcomes = Counter(
            "passed"
            if latest["status"] == "SUCCEEDED"
            else latest["evaluation"]["severity"].lower()
            for each in self._query(CHECKS)["assetNodes"]
            for check in each["assetChecksOrError"].get("checks", [])
            if (latest := check["executionForLatestMaterialization"]) and latest["evaluation"]
        )
        summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        return f"{days} days of {len(ASSETS)} assets, {EVENT_DAYS} of {EVENTS}; checks: {summary}"

    def _query(self, query: str, it: Any = None) -> Any:
        """The data of a GraphQL request."""
        reply = self._http.post("/graphql", json={"query": query, "variables": {"it": it}})
        body = reply.raise_for_status().json()
        refused = [each for each in (body["data"] or {}).values() if "message" in each]
        if "errors" in body or refused:
            raise stack.StepFailed(f"Dagster refused: {body.get('errors', refused)}")
        return body["data"]
