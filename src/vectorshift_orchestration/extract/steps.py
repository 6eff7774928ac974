"""Requests to the service in sequence, written once for blocking and awaiting code.

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
    """The result of the steps, blocking."""
    from vectorshift.analytics import Query  # whose terminals block, also for a query that awaits

    driver = _Driver(steps)
    for step in driver:
        driver.answer = getattr(Query, step.terminal)(step.query, *step.arguments)
    return driver.end


async def arun(steps: Steps[T]) -> T:
    """The result of the steps, awaiting."""
    driver = _Driver(steps)
    for step in driver:
        driver.answer = await getattr(step.query, f"a{step.terminal}")(*step.arguments)
    return driver.end


class _Driver(Generic[T]):
    """Yields each step, takes its answer before the next one, and keeps the result."""

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
