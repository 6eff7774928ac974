"""Airflow's REST interface, as far as these tests use it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx


class Rest:
    """A signed-in client of one api-server.

    Args:
        origin: the server's address.
    """

    def __init__(self, origin: str) -> None:
        self._http = httpx.Client(base_url=origin, timeout=60)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def sign_in(self) -> None:
        """Take a token; the auth manager gives one to everybody."""
        reply = self._http.get("/auth/token")
        reply.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request below /api/v2; its JSON."""
        reply = self._http.request(method, f"/api/v2{path}", **options)
        assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    def health(self) -> dict[str, str]:
        """Each component's status; empty while the server is not there."""
        try:
            reply = self._http.get("/api/v2/monitor/health", timeout=5)
        except httpx.TransportError:
            return {}
        reported = reply.json() if reply.is_success else {}
        return {name: result["status"] for name, result in reported.items() if result["status"]}

    def import_errors(self) -> str:
        """What stood in the way of reading DAG files."""
        reported = self.ask("GET", "/importErrors")["import_errors"]
        return "\n".join(f"{each['filename']}:\n{each['stack_trace']}" for each in reported)

    def trigger(
        self,
        dag_id: str,
        interval: tuple[datetime, datetime] | None = None,
        conf: dict[str, Any] | None = None,
    ) -> str:
        """Start a run, for a data interval or without one; its id."""
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if interval is not None:
            start, end = (each.isoformat() for each in interval)
            body |= {
                "logical_date": start,
                "data_interval_start": start,
                "data_interval_end": end,
            }
        reported = self.ask("POST", f"/dags/{dag_id}/dagRuns", json=body)
        run_id: str = reported["dag_run_id"]
        return run_id

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """A DAG's runs, oldest first."""
        reported = self.ask(
            "GET", f"/dags/{dag_id}/dagRuns", params={"order_by": "id", "limit": 100}
        )
        runs: list[dict[str, Any]] = reported["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """A run's task instances, mapped ones in their order."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances"
        result: list[dict[str, Any]] = []
        while True:
            reported = self.ask("GET", path, params={"limit": 100, "offset": len(result)})
            result += reported["task_instances"]
            if len(result) >= reported["total_entries"]:
                return sorted(result, key=lambda task: (task["task_id"], task["map_index"]))

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """One task instance that is not mapped."""
        result: dict[str, Any] = self.ask("GET", self._path(dag_id, run_id, task_id))
        return result

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, whatever came of it."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "only_failed": False,
        }
        self.ask("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as a user does."""
        self.ask("PATCH", self._path(dag_id, run_id, task_id), json={"new_state": state})

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned."""
        path = f"{self._path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.ask("GET", path, params={"deserialize": False})["value"]

    def pool(self, name: str, slots: int) -> None:
        """Make a pool."""
        body = {"name": name, "slots": slots, "include_deferred": False}
        self.ask("POST", "/pools", json=body)

    def _path(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
