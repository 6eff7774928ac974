"""The event generator: any number of rows for the ``events`` table, the same for the same seed.

Every random choice is a slice of an MD5 of (seed, trace number) and all arithmetic is on whole
numbers, so the rows depend neither on the machine nor on the number of threads.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vectorshift_emulator._settings import Precision
from vectorshift_emulator.data import catalogue, shapes
from vectorshift_emulator.data.seed_tables import SLOTS, catalogue_tables, views
from vectorshift_emulator.data.span_sql import bits, insert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CHUNK_TRACES = 30_000
_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES = ("success", "failure", "in_progress")
_EVERY_ROW = 2**62


def fill(cursor: DuckDBPyConnection, *, events: int, days: int, seed: int, end: datetime) -> None:
    """Insert exactly ``events`` generated rows into table ``events``, in one transaction.

    Args:
        cursor: A DuckDB cursor that is in no transaction; table ``events`` exists.
        events: Number of rows, 0 to 10 million. The last trace is cut short from its leaves
            where it is too long.
        days: Length of the window in days, 1 to 400.
        seed: Chooses the rows: the same arguments give the same rows.
        end: Aware end of the window; every time lies in ``[end - days, end)``.

    Raises:
        ValueError: ``events`` or ``days`` is out of range, or ``end`` is naive.
    """
    if not 0 <= events <= 10_000_000:
        raise ValueError(f"events must be 0 to 10000000, not {events}")
    if not 1 <= days <= 400:
        raise ValueError(f"days must be 1 to 400, not {days}")
    end_ms = _epoch_ms(end)
    start = end - timedelta(days=days)
    traces = _traces_for(events)
    tape = _tape(start, days, seed)
    outages = _outages(_epoch_ms(start), days, seed)
    placed = _placed_in_window(traces, len(tape), len(outages), end_ms)
    tables = catalogue_tables() | {
        "seed_tape": pa.table({"position": range(len(tape)), "hour_ms": tape}),
        "seed_outages": pa.Table.from_pylist(outages),
    }
    with views(cursor, **tables):
        cursor.execute("BEGIN")
        try:
            for first in range(0, traces, _CHUNK_TRACES):
                last = min(first + _CHUNK_TRACES, traces)
                numbered = (
                    f"SELECT range AS i, range % {len(shapes.CYCLE)} AS slot "
                    f"FROM range({first}, {last})"
                )
                insert(cursor, numbered, placed, salt=f"fill {seed}", rows=events)
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


def refine(cursor: DuckDBPyConnection, clock: Precision) -> None:
    """Move every trace by less than a millisecond, so that starts are as fine as the clock.

    Args:
        cursor: A DuckDB cursor; table ``events`` has generated rows alone.
        clock: ``ms`` leaves the rows as they are.
    """
    if clock == "ms":
        return
    shift = "to_microseconds((hash(trace_id) % 1000)::BIGINT)"
    moved = ("start_time", "end_time", "session_last_message_time")
    changes = [f"{name} = {name} + {shift}" for name in moved]
    if clock == "ns":
        changes.append("start_ns = hash(trace_id, 1) % 1000")
    cursor.execute(f"UPDATE events SET {', '.join(changes)}")


def live_events(
    cursor: DuckDBPyConnection, *, rng: random.Random, now: datetime, count: int
) -> None:
    """Insert ``count`` whole traces of one to five spans, the first at ``now``, 1 ms apart.

    Args:
        cursor: A DuckDB cursor; table ``events`` exists.
        rng: Source of every choice; its state advances.
        now: Aware start of the first trace.
        count: Number of traces (not of spans).

    Raises:
        ValueError: ``now`` is naive.
    """
    at = _epoch_ms(now)
    small = [slot for slot, shape in enumerate(shapes.CYCLE) if len(shape.spans) <= 5]
    plan = [_planned(i, rng.choice(small), at + i) for i in range(count)]
    _insert_plan(cursor, plan, salt=f"live {rng.getrandbits(64)}")


def burst(
    cursor: DuckDBPyConnection,
    *,
    at: datetime,
    count: int,
    status: str = "failure",
    object_id: str | None = None,
    error_message: str | None = None,
    seed: int,
) -> list[str]:
    """Insert ``count`` runs of one span each that start at ``at``, 1 ms apart.

    Args:
        cursor: A DuckDB cursor; table ``events`` exists.
        at: Aware start of the first run.
        count: Number of runs.
        status: ``success``, ``failure`` or ``in_progress``.
        object_id: Whose runs; None takes the first pipeline. An id that the generator does not
            know becomes a pipeline of that name.
        error_message: Error text of failed runs; None takes one of the usual ones.
        seed: Tells bursts at the same instant apart.

    Returns:
        The span ids in order of start.

    Raises:
        ValueError: Unknown status, naive ``at``, or this burst (seed and at) is there already.
    """
    if status not in _STATUSES:
        raise ValueError(f"status must be one of {', '.join(_STATUSES)}, not {status!r}")
    start = _epoch_ms(at)
    target = _object(object_id or catalogue.OBJECTS[0].object_id)
    slot = SLOTS.index(shapes.SOLO[target.entity])
    salt = f"burst {seed} {start}"
    span_ids = [f"sp_{_hash(salt, '#', i)[:16]}00" for i in range(count)]
    if cursor.execute("SELECT 1 FROM events WHERE span_id = $1", span_ids[:1] or [""]).fetchone():
        raise ValueError(f"a burst with seed {seed} at {at.isoformat()} exists: give another seed")
    plan = [
        _planned(i, slot, start + i, target.object_id, status, error_message) for i in range(count)
    ]
    _insert_plan(cursor, plan, salt=salt, extra=target)
    return span_ids


def _epoch_ms(moment: datetime) -> int:
    """Return the millisecond at or before an aware moment, counted from 1970."""
    if moment.tzinfo is None:
        raise ValueError(f"the time {moment.isoformat()} has no time zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _hash(*parts: object) -> str:
    return md5("".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _draw(size: int, *parts: object) -> int:
    """Return a whole number below ``size`` that these parts decide."""
    return int(_hash(*parts)[:15], 16) % size


def _object(object_id: str) -> catalogue.Object:
    objects = {item.object_id: item for item in catalogue.OBJECTS}
    fallback = catalogue.Object(
        object_id, object_id, "pipeline", None, catalogue.MODELS[0].model_id, object_id
    )
    return objects.get(object_id, fallback)


def _traces_for(events: int) -> int:
    """Return how many traces of the cycle hold ``events`` spans, the last one perhaps cut."""
    lengths = [len(shape.spans) for shape in shapes.CYCLE]
    cycles, missing = divmod(events, sum(lengths))
    traces = cycles * len(lengths)
    for length in lengths:
        if missing <= 0:
            break
        missing -= length
        traces += 1
    return traces


def _tape(start: datetime, days: int, seed: int) -> list[int]:
    """Return the hours of the window in epoch ms, each as often as it is busy.

    Traces lie evenly on this tape, which gives them the rhythm of days and weeks: office hours
    (UTC) are busy, nights and weekends are calm, and no two days are the same.
    """
    tape = []
    for hour in range(days * 24):
        moment = start + timedelta(hours=hour)
        busy = 40 if 9 <= moment.hour < 17 else 16 if 7 <= moment.hour < 21 else 6
        if moment.weekday() >= 5:
            busy = busy * 3 // 10
        noise = 80 + _draw(41, "hour", seed, hour)
        tape += [_epoch_ms(moment)] * max(1, busy * noise // 100)
    return tape


def _outages(start_ms: int, days: int, seed: int) -> list[dict[str, Any]]:
    """Return the hours in which one pipeline or one chatbot fails: about one a week of each."""
    outages = []
    for number in range(max(1, days // 7)):
        for entity in ("pipeline", "chatbot"):
            objects = catalogue.objects_of(entity)
            hour = _draw(days * 24, "outage hour", seed, entity, number)
            outages.append(
                {
                    "outage": number,
                    "entity": entity,
                    "outage_ms": start_ms + hour * _HOUR_MS,
                    "object_id": objects[
                        _draw(len(objects), "outage object", seed, entity, number)
                    ].object_id,
                    "error_message": catalogue.OUTAGE_ERRORS[
                        _draw(len(catalogue.OUTAGE_ERRORS), "outage error", seed, entity, number)
                    ],
                }
            )
    return outages


def _placed_in_window(traces: int, tape: int, outages: int, end_ms: int) -> str:
    """Return the plan of ``fill``: when traces start, which fail in an outage, which still run.

    The last few runs of the window are in progress; about two traces in a hundred belong to an
    outage.
    """
    waiting_from = traces - min(12, traces // 40)
    return f"""
        SELECT d.*,
            CASE WHEN waits THEN {end_ms} - 2 - {bits("a", 7, 25)} % slots.median_ms
                 WHEN o.outage_ms IS NOT NULL THEN o.outage_ms + {bits("a", 7, 25)} % {_HOUR_MS}
                 ELSE t.hour_ms + {bits("a", 7, 25)} % {_HOUR_MS} END AS wish_ms,
            {end_ms} - 1 AS limit_ms,
            CASE WHEN NOT waits THEN o.object_id END AS object_id,
            CASE WHEN waits THEN 'in_progress'
                 WHEN o.outage_ms IS NOT NULL THEN 'failure' END AS status,
            o.error_message
        FROM (SELECT *, i >= {waiting_from} AS waits FROM drawn) d
        JOIN seed_slots slots USING (slot)
        JOIN seed_tape t ON t.position =
            (d.i + {bits("a", 0, 7)}) % {traces or 1} * {tape} // {traces or 1}
        LEFT JOIN seed_outages o ON o.entity = slots.entity
            AND {bits("c", 0, 10)} < 20 AND o.outage = {bits("c", 10, 5)} % {outages // 2}"""


def _planned(
    number: int,
    slot: int,
    wish_ms: int,
    object_id: str | None = None,
    status: str | None = None,
    error_message: str | None = None,
) -> dict[str, Any]:
    return {
        "i": number,
        "slot": slot,
        "wish_ms": wish_ms,
        "limit_ms": None,
        "object_id": object_id,
        "status": status,
        "error_message": error_message,
    }


_PLAN = pa.schema(
    [
        ("i", pa.int64()),
        ("slot", pa.int64()),
        ("wish_ms", pa.int64()),
        ("limit_ms", pa.int64()),
        ("object_id", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
    ]
)


def _insert_plan(
    cursor: DuckDBPyConnection,
    plan: Sequence[dict[str, Any]],
    *,
    salt: str,
    extra: catalogue.Object | None = None,
) -> None:
    """Insert traces whose times are known, each of them whole."""
    tables = catalogue_tables(extra) | {"seed_plan": pa.Table.from_pylist(list(plan), schema=_PLAN)}
    with views(cursor, **tables):
        insert(cursor, "SELECT * FROM seed_plan", "SELECT * FROM drawn", salt=salt, rows=_EVERY_ROW)
