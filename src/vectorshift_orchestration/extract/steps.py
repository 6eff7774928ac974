"""What is asked of the service one after the other, written once for both ways of asking.

Whoever needs several answers is a generator: it yields steps and is sent what each brings. `run`
blocks, `arun` awaits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from vectorshift.analytics import Query

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """A terminal of a query, by its name, with its arguments."""

    query: Query
    terminal: Literal["count", "events", "raw_aggregate", "time_precision"]
    arguments: tuple[Any, ...] = ()


Steps: TypeAlias = Generator[Step, Any, T]


def run(steps: Steps[T]) -> T:
    """What the steps lead to, blocking."""
    from vectorshift.analytics import Query  # whose terminals block, also for a query that awaits

    way = _Way(steps)
    for step in way:
        way.answer = getattr(Query, step.terminal)(step.query, *step.arguments)
    return way.end


async def arun(steps: Steps[T]) -> T:
    """What the steps lead to, awaiting."""
    way = _Way(steps)
    for step in way:
        way.answer = await getattr(step.query, f"a{step.terminal}")(*step.arguments)
    return way.end


class _Way(Generic[T]):
    """Each step in turn, to be answered before the next one, and what they led to at the end."""

    end: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.answer: Any = None

    def __iter__(self) -> Iterator[Step]:
        while True:
            try:
                step = self._steps.send(self.answer)
            except StopIteration as done:
                self.end = done.value
                return
            yield step
