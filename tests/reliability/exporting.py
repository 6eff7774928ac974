"""An export of two hours as an orchestrator runs it: a record that outlives a try, and tries until one succeeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.days import LAST_MIDNIGHT
from vectorshift import Client, Retry, VectorshiftError
from vectorshift_emulator import Emulator
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.exports import ExportOptions, ExportRequest, ExportState, resume
from vectorshift_orchestration.exports.fetch import Progress
from vectorshift_orchestration.landed import Landed
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.windows import Window

NIGHT = Window(LAST_MIDNIGHT - timedelta(hours=2), LAST_MIDNIGHT)
MOST_TRIES = 3


class Memory:
    """The record of a job, for tries in this process."""

    def __init__(self) -> None:
        self.state: ExportState | None = None

    def read(self) -> ExportState | None:
        """The record, if there is one."""
        return self.state

    def write(self, state: ExportState) -> None:
        """Keep a record."""
        self.state = state

    def discard(self) -> None:
        """Forget it."""
        self.state = None


def exported(
    base_url: str,
    key: str,
    format: str,
    folder: Path,
    landing: Landing,
    retry: Retry = Retry(attempts=3, first_wait=0.0),
    *,
    window: Window = NIGHT,
    tries: int = MOST_TRIES,
    timeout: float = 0.5,
    record: Memory | None = None,
    progress: Progress | None = None,
) -> Landed:
    """What the job landed, by the first of its tries that succeeded. Raises the error of the last one."""
    record, told = record or Memory(), VectorshiftError("no try")
    for _ in range(tries):
        with Client(key, base_url, retry=retry, timeout=timeout, time_precision="us") as client:
            request = ExportRequest(client.query().to_dict(), window, format)
            options = ExportOptions(timeout=30, poll_interval=0.001)
            try:
                return resume(
                    *(client, request, landing, record),
                    directory=folder,
                    options=options,
                    progress=progress,
                )
            except VectorshiftError as error:
                told = error
    raise told


def true_ids(service: Emulator) -> list[str]:
    """The ids that the export of the night should have, straight from the service's database."""
    found = service.truth(
        f"SELECT span_id FROM events WHERE start_time >= '{NIGHT.start:%F %T}'"
        f" AND start_time < '{NIGHT.end:%F %T}'"
    )
    return [row["span_id"] for row in found]


@contextmanager
def opened(connect: Callable[[Any], Any], address: Any) -> Iterator[Any]:
    """A connection, which a driver may refuse to close where it is lost; that there is none is an error to try again after."""
    try:
        connection = connect(address)
    except Exception as problem:
        raise StorageError(str(problem)) from problem
    try:
        yield connection
    finally:
        with suppress(Exception):
            connection.close()
