"""Values as people write them: durations, JSON in a text, texts with templates in them."""

from __future__ import annotations

import ast
import json
import math
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, SupportsFloat, TypeVar

_Typed = TypeVar("_Typed")

_TEMPLATE = re.compile(r"\{[{%#]")


def has_template(text: str) -> bool:
    """Whether a text says something else once Jinja has filled it in."""
    return _TEMPLATE.search(text) is not None


def seconds(name: str, value: Any, *, above_0: bool = True) -> float:
    """A duration, a timedelta or a number of seconds, in seconds.

    Raises ValueError, naming the argument, for what is not one.
    """
    number = math.nan
    if isinstance(value, timedelta):
        number = value.total_seconds()
    elif isinstance(value, SupportsFloat) and not isinstance(value, bool):
        number = float(value)
    if not (math.isfinite(number) and (number > 0 if above_0 else number >= 0)):
        least = "above 0" if above_0 else "of 0 or more"
        raise ValueError(f"{name}= is a timedelta or a number of seconds {least}, not {value!r}.")
    return number


def as_json(value: Any) -> Any:
    """A query, a rule or a list as JSON values, which templates and serialization can carry.

    It may be given as a text of JSON, as `{{ params.query | tojson }}` comes out, or of Python's
    literals, as `{{ params.query }}` does, where these are JSON values. Any other text, such as a
    template that is not filled in yet, is returned as it is.
    """
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            literal = ast.literal_eval(value.strip())
            if (read := json.loads(json.dumps(literal, allow_nan=False))) == literal:
                return read
    to_dict = getattr(value, "to_dict", None)
    return value if to_dict is None else to_dict()


def typed(value: Any, kind: type[_Typed]) -> _Typed:
    """A JSON object as the `TypedDict` that it is. Raises ValueError for any other key or type."""
    import msgspec

    if isinstance(value, dict) and value.keys() - kind.__annotations__.keys():
        raise ValueError(
            f"{kind.__name__} has no other keys than {', '.join(kind.__annotations__)}."
        )
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:  # which is no ValueError in msgspec 0.19
        raise ValueError(str(problem)) from None
