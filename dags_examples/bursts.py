"""A burst of failed runs that both orchestrators tell of, whenever they begin to look."""

from datetime import UTC, datetime, timedelta

from vectorshift_emulator import Emulator

WINDOW = timedelta(minutes=10)
"""The width of the windows in which Airflow's DAG error_count_watch counts."""
MESSAGE = "Model quota exceeded"


def burst(service: Emulator) -> str:
    """Insert it, and say so.

    A watcher judges the newest window that has ended, a minute after its end: so the last two windows
    have failed runs too many, and the present one. Successful runs beside them keep the share of failed
    ones low: a day or an hour that a check refuses would turn runs of the examples red.
    """
    now = datetime.now(UTC)
    begun = now - (now - datetime.min.replace(tzinfo=UTC)) % WINDOW
    for at, failed, good in (
        (begun - 1.5 * WINDOW, 30, 270),
        (begun - 0.5 * WINDOW, 30, 270),
        (now, 150, 850),
    ):
        service.burst(failed, at=at, error_message=MESSAGE)
        service.burst(good, at=at, status="success")
    return f"150 of 1,000 runs at {now:%H:%M} UTC, and 30 of 300 in each ten minutes before"
