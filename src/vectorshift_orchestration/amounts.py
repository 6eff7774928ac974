"""Amounts of money and credits: decimals, so that adding them up loses nothing.

The service computes in doubles. An amount is the shortest decimal that stands for its double, rounded
half to even at 12 places: 0.1 is 0.1, and the noise of a sum of doubles (0.30000000000000004) goes.
Twelve places are a millionth of a millionth of a dollar, of which a token costs some hundred
thousand; 26 digits are left before the point, of all that a decimal of 128 bits holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Any

from vectorshift_orchestration.errors import AggregationShapeError

DIGITS, PLACES = 38, 12
UNIT = Decimal(1).scaleb(-PLACES)

_EXACT = Context(prec=2 * DIGITS, rounding=ROUND_HALF_EVEN)


def amount(value: Any, name: str) -> Decimal:
    """The number of the service as an amount; `name` says whose, in the error.

    Raises `AggregationShapeError` for a value that is not a finite number, and for one of more than 26 digits
    before the point.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise AggregationShapeError(f"{name} is {value!r}, which is not a number.")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise AggregationShapeError(f"{name} is {value!r}, which is not an amount.")
    if exact.adjusted() < DIGITS - PLACES:
        with localcontext(_EXACT):
            rounded = exact.quantize(UNIT)
        if rounded.adjusted() < DIGITS - PLACES:
            return rounded
    raise AggregationShapeError(
        f"{name} is {value!r}, more than the {DIGITS - PLACES} digits before the point that an "
        "amount has."
    )


def total(amounts: Iterable[Decimal], name: str) -> Decimal:
    """The exact sum. Raises `AggregationShapeError` as `amount`."""
    with localcontext(_EXACT):
        added = sum(amounts, Decimal(0))
    return amount(added, name)


def share(dividend: Decimal, parts: int, name: str) -> Decimal:
    """The whole divided by a number of parts, rounded as `amount`."""
    with localcontext(_EXACT):
        each = dividend / parts
    return amount(each, name)
