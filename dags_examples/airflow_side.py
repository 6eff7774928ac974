"""Airflow's half of `make up`: every example on, a green run of each, and an alert on a burst of failed runs."""

from typing import Any
from urllib.parse import quote

import httpx
import stack
from board import Board
from processes import Processes

DAGS = ("nightly_export", "pipeline_health", "error_rate_hourly", "error_count_watch")


class Airflow:
    """The api-server, asked over REST.

    Args:
        url: where it is, without a slash at the end.
    """

    def __init__(self, url: str, processes: Processes, board: Board) -> None:
        self._url, self._processes, self._board = url, processes, board
        self._http = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def start(self, env: dict[str, str]) -> None:
        """Start all of it, the api-server first: a task whose worker does not reach it loses a try."""
        processes = self._processes
        with self._board.step("airflow") as step:
            step.text = "migrating the database"
            stack.migrate_airflow(env)
            step.text = "starting the api-server"
            processes.start("airflow-api-server", "airflow", "api-server")
            processes.start("airflow-dag-processor", "airflow", "dag-processor")
            processes.answers("airflow-api-server", f"{self._url}/api/v2/monitor/health")
            left = self._settle()
            step.text = f"{left} runs that were left go on" if left else "nothing was left to go on"
            for name in ("scheduler", "triggerer"):
                processes.start(f"airflow-{name}", "airflow", name)
        self._board.opened("airflow", f"is up at {self._url}/ (no login)")

    def watch(self) -> None:
        """Wait until each DAG has a green run."""
        with self._board.step("runs") as step:
            missing = list(DAGS)

            def all_green() -> bool:
                for name in [each for each in missing if self._runs(each, "success")]:
                    missing.remove(name)
                    self._board.note(f"{name} has a green run")
                step.text = f"{len(DAGS) - len(missing)} of {len(DAGS)} DAGs have one"
                if missing:
                    step.text += f", not yet {', '.join(missing)}"
                return not missing

            self._processes.until(all_green, "not every DAG has a green run", pause=2)

    def _settle(self) -> int:
        """Turn on what an earlier command left: paused DAGs, and runs that nobody goes on with or that failed.

        DAGs that are new are on by themselves. Nobody else goes on with the runs of `airflow dags test`.
        """
        token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        on = {"params": {"dag_id_pattern": "~"}, "json": {"is_paused": False}}
        self._http.patch("/api/v2/dags", **on).raise_for_status()
        left = self._runs("~", "running")
        left += [run for name in DAGS for run in self._runs(name)[:1] if run["state"] == "failed"]
        for run in left:
            path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/clear"
            again = {"dry_run": False, "only_failed": False}
            self._http.post(path, json=again).raise_for_status()
        pool = {"name": "vectorshift", "slots": 4, "description": "Tasks that ask VectorShift"}
        if self._http.get("/api/v2/pools/vectorshift").status_code == httpx.codes.NOT_FOUND:
            self._http.post("/api/v2/pools", json=pool).raise_for_status()
        return len(left)

    def _runs(self, dag_id: str, *states: str) -> list[dict[str, Any]]:
        """Runs of a DAG, the newest first; none of one that is not known yet."""
        reply = self._http.get(
            f"/api/v2/dags/{dag_id}/dagRuns",
            params={"state": states, "order_by": "-id", "limit": 100},
        )
        if reply.status_code == httpx.codes.NOT_FOUND:
            return []
        runs: list[dict[str, Any]] = reply.raise_for_status().json()["dag_runs"]
        return runs
