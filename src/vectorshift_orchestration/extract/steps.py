"""What is asked of the service one after the other, written once for both ways of asking.

Whoever needs several answers is a generator: it yields steps and is sent what each brings. `run`
blocks, `arun` awaits.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

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

    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        answer = getattr(Query, step.terminal)(step.query, *step.arguments)


async def arun(steps: Steps[T]) -> T:
    """What the steps lead to, awaiting."""
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            return cast(T, done.value)
        answer = await getattr(step.query, f"a{step.terminal}")(*step.arguments)
