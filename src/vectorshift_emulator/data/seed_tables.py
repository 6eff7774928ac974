"""The generator's shapes and catalogue as Arrow tables, for the database to join."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from vectorshift_emulator.data import catalogue, shapes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SLOTS = (*shapes.CYCLE, *shapes.SOLO.values())
"""Every shape by slot number: first the cycle, then the lone roots."""


@contextmanager
def views(cursor: DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Let the cursor see Arrow tables under these names for a while."""
    for name, table in tables.items():
        cursor.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            cursor.unregister(name)


def catalogue_tables(extra: catalogue.Object | None = None) -> dict[str, pa.Table]:
    """Return the tables that ``insert`` joins: slots, spans, objects and models.

    Args:
        extra: An object beside the generator's own, or None.
    """
    objects = list(
        {
            item.object_id: item for item in (*catalogue.OBJECTS, *([extra] if extra else []))
        }.values()
    )
    return {
        "seed_slots": _slots(),
        "seed_spans": _spans(),
        "seed_objects": pa.Table.from_pylist(
            [
                {
                    "object_id": item.object_id,
                    "object_name": item.name,
                    "project_id": item.project_id,
                    "model_id": item.model_id,
                    "pipeline_id": item.pipeline_id,
                    "failures_per_1024": item.failures_per_1024,
                    "object_info": item.info,
                }
                for item in objects
            ]
        ),
        "seed_models": pa.Table.from_pylist([vars(model) for model in catalogue.MODELS]),
    }


def _slots() -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "slot": slot,
                "entity": shape.entity,
                "is_run": shape.is_run,
                "uses_model": shape.uses_model,
                "median_ms": shape.median_ms,
                "broken_from": max((s.end for s in shape.spans[1:] if s.breaks), default=1000),
                "sources": list(catalogue.SOURCES[shape.entity]),
                "object_picks": [
                    item.object_id
                    for item in catalogue.objects_of(shape.entity)
                    for _ in range(item.share)
                ],
            }
            for slot, shape in enumerate(SLOTS)
        ]
    )


def _spans() -> pa.Table:
    rows: list[dict[str, object]] = []
    for slot, shape in enumerate(SLOTS):
        for index, span in enumerate(shape.spans):
            share = span.share or (0, 0)
            rows.append(
                {
                    "slot": slot,
                    "position": len(rows),
                    "span": index,
                    "parent": span.parent,
                    "kind": span.kind,
                    "node_type": span.node_type,
                    "begin_at": span.begin,
                    "end_at": span.end,
                    "share_from": share[0],
                    "share_to": share[1],
                    "breaks": span.breaks,
                }
            )
    return pa.Table.from_pylist(rows)
