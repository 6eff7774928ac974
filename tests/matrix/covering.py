"""Rows of switch values in which every pair of values that may stand together does, at least once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[tuple[str, Any], tuple[str, Any]]

_CANDIDATES = 30


def pairs_of(factors: Mapping[str, Sequence[Any]], allowed: Callable[[Row], bool]) -> set[Pair]:
    """Each pair of values of two factors that is not senseless."""
    return {
        _pair((one, a), (other, b))
        for one, other in combinations(factors, 2)
        for a, b in product(factors[one], factors[other])
        if allowed({one: a, other: b})
    }


def covering(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Row], bool], seed: int
) -> list[Row]:
    """Rows that hold every pair; greedy, so not the fewest there could be. Same seed, same rows."""
    chance = random.Random(seed)
    left = pairs_of(factors, allowed)
    rows: list[Row] = []
    while left:
        candidates = [_drawn(factors, allowed, left, chance) for _ in range(_CANDIDATES)]
        best = max(candidates, key=lambda row: len(left & pairs_in(row)))
        left -= pairs_in(best)
        rows.append(best)
    return rows


def drawn(
    factors: Mapping[str, Sequence[Any]], allowed: Callable[[Row], bool], seed: int, count: int
) -> list[Row]:
    """So many rows of the whole product, at random."""
    chance = random.Random(seed)
    rows: list[Row] = []
    while len(rows) < count:
        row = {name: chance.choice(values) for name, values in factors.items()}
        if allowed(row):
            rows.append(row)
    return rows


def pairs_in(row: Row) -> set[Pair]:
    """The pairs of values in a row."""
    return {_pair(*pair) for pair in combinations(row.items(), 2)}


def _pair(one: tuple[str, Any], other: tuple[str, Any]) -> Pair:
    return (one, other) if one[0] < other[0] else (other, one)


def _drawn(
    factors: Mapping[str, Sequence[Any]],
    allowed: Callable[[Row], bool],
    left: set[Pair],
    chance: random.Random,
) -> Row:
    """A row that begins with a pair that is left, and takes the best value of each other factor."""
    row: Row = dict(chance.choice(sorted(left, key=repr)))
    rest = [name for name in factors if name not in row]
    chance.shuffle(rest)
    for name in rest:
        values = [value for value in factors[name] if allowed(row | {name: value})]
        chance.shuffle(values)
        row[name] = max(
            values,
            key=lambda value: sum(_pair((name, value), each) in left for each in row.items()),
        )
    return row
