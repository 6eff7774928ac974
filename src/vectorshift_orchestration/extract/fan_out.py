"""One question to many objects: the service takes one object id per call (CONTRACT.md B2).

An event belongs to one object, so the objects of a fan-out are disjoint parts, and their figures
merge by the algebra of `merging`. How many questions are under way at once is bounded here, outside
of the HTTP client's pool, which is slow when many wait in it (RELIABILITY.md 0.12).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from vectorshift_orchestration.aggregates.merging import merge_tables, mergeable
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from vectorshift.analytics import Query

OBJECT = "object_id"
"""The column that tells the objects of a table apart."""

Progress = Callable[[int, int], None]
T = TypeVar("T")
R = TypeVar("R")


class FanOut:
    """An aggregation of several objects: what to ask of each, and how the answers become one table.

    `queries` has one query for each different id, in order. `asked` is what to measure of each:
    `spec` itself, or what its merge needs. Raises `MergeError` and `SpecError` as
    `extract.aggregate` tells.
    """

    def __init__(
        self, query: Query, spec: AggregationSpec, object_ids: Sequence[str], per_object: bool
    ) -> None:
        from vectorshift.analytics import EventField, Filter

        if isinstance(object_ids, str) or not object_ids:
            raise SpecError(f"object_ids is a list of at least one id, not {object_ids!r}.")
        if query.to_dict().get("object_id") is not None:
            raise SpecError(
                "The query is about one object already. Leave that out of it, or out of object_ids."
            )
        self._spec, self._per_object = spec, per_object
        self._ids = list(dict.fromkeys(object_ids))
        self.asked = spec if per_object else mergeable(spec)
        self.queries = [query.where(Filter.eq(EventField.OBJECT_ID, each)) for each in self._ids]

    def joined(self, tables: Sequence[pa.Table]) -> pa.Table:
        """The table of all objects, from one table of `asked` for each query."""
        if not self._per_object:
            return merge_tables(tables, self._spec)
        import pyarrow as pa

        return pa.concat_tables(
            table.add_column(1, OBJECT, pa.repeat(pa.scalar(each), table.num_rows))
            for each, table in zip(self._ids, tables, strict=True)
        )


def in_threads(
    work: Callable[[T], R], items: Sequence[T], concurrency: int, progress: Progress | None
) -> list[R]:
    """The result of `work` for each item, in order, `concurrency` at a time.

    The first error ends it: what has not begun is not begun. `progress` is called with the items
    done and the items in all. Raises `SpecError` for a concurrency below 1.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    _check(concurrency)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="vectorshift-fan-out") as pool:
        running = [pool.submit(work, item) for item in items]
        try:
            for done, each in enumerate(as_completed(running), start=1):
                each.result()
                if progress is not None:
                    progress(done, len(items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [each.result() for each in running]


async def in_tasks(
    work: Callable[[T], Awaitable[R]],
    items: Sequence[T],
    concurrency: int,
    progress: Progress | None,
) -> list[R]:
    """`in_threads`, awaiting, with tasks; the first error cancels the others."""
    import asyncio

    _check(concurrency)
    turn = asyncio.Semaphore(concurrency)
    done = 0

    async def one(item: T) -> R:
        nonlocal done
        async with turn:
            result = await work(item)
        done += 1
        if progress is not None:
            progress(done, len(items))
        return result

    running = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*running))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise SpecError(
            f"concurrency is how many requests run at once, 1 or more, not {concurrency}."
        )
