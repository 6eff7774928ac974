"""Running tasks that measure, in real Airflow, and the truth that they should tell."""

import json
from dataclasses import dataclass
from typing import Any

from tests.airflow.running import last_day, run_dag


@dataclass(frozen=True)
class Measured:
    """What a DAG run came to: its state, its tasks' results by id, and each failure as (type, text).

    The result of a mapped task is the list of its tasks' results.
    """

    state: str
    results: dict[str, Any]
    errors: list[tuple[str, str]]


class Measurements:
    """Runs the DAG of `dags/measurements.py` with tasks of the test's choice.

    Args:
        folder: where errors are noted.
        monkeypatch: sets the environment that the DAG file reads.
    """

    def __init__(self, folder, monkeypatch):
        self._errors = folder / "errors.jsonl"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("MEASUREMENTS_ERRORS", str(self._errors))

    def __call__(self, **tasks):
        """Run the tasks, each given as its class's name and arguments, for the last complete day."""
        self._monkeypatch.setenv("MEASUREMENTS", json.dumps(tasks))
        self._errors.unlink(missing_ok=True)
        run = run_dag("measurements", last_day().end)
        return Measured(str(run.state), {name: result(run, name) for name in tasks}, self._noted())

    def _noted(self):
        if not self._errors.exists():
            return []
        return [tuple(json.loads(line)) for line in self._errors.read_text().splitlines()]


def result(run, task_id):
    """What a task of a finished run returned; a list where it was mapped, None where it did not."""
    actual = [each for each in run.get_task_instances() if each.task_id == task_id]
    pulled = [
        each.xcom_pull(task_ids=task_id, map_indexes=each.map_index)
        for each in sorted(actual, key=lambda each: each.map_index)
    ]
    return pulled[0] if [each.map_index for each in actual] == [-1] else pulled


def counted(emulator, window, by, condition="true"):
    """Runs and errors of the pipelines of a window, by one expression, straight from the emulator's database."""
    actual = emulator.truth(
        f"SELECT {by} AS slice, count(*) AS runs, count(*) FILTER (status = 'failure') AS errors "
        f"FROM events WHERE start_time >= TIMESTAMP '{window.start:%F %T}' "
        f"AND start_time < TIMESTAMP '{window.end:%F %T}' AND is_run AND entity = 'pipeline' AND {condition} GROUP BY 1 ORDER BY 1"
    )
    return [(row["slice"], row["runs"], row["errors"]) for row in actual]
