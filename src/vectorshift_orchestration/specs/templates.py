"""Jinja templates in a description, filled in so that none of them resolves to nothing unseen.

What is left empty would be as if nobody had written it, and a query without its object is one of
the whole account.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from vectorshift_orchestration.specs.documents import rendered
from vectorshift_orchestration.values import has_template

_VARIABLE = re.compile(r"""\benv(?:\.(\w+)|\(\s*['"](\w+)['"])""")


def filled_in(written: Any, scope: Mapping[str, Any]) -> Any:
    """The same JSON value with its templates filled in; a number in a text stays the text that it was.

    An object that a template stands for is returned as it is. `env` of the scope reads variables of
    the environment. Raises ValueError for a template that resolves to nothing.
    """
    return rendered(written, lambda text: _value(text, scope) if has_template(text) else text)


def _value(template: str, scope: Mapping[str, Any]) -> Any:
    from jinja2 import Environment, StrictUndefined

    values = []

    def noted(value: Any) -> Any:
        if value is None:
            raise _nothing(template)
        values.append(value)
        return value

    environment = Environment(
        undefined=StrictUndefined, finalize=noted, keep_trailing_newline=True
    )  # no HTML
    result = environment.from_string(template).render(**scope)
    if not result.strip():
        raise _nothing(template)
    is_object = len(values) == 1 and not isinstance(values[0], str | int | float)
    return values[0] if is_object and result == str(values[0]) else result


def _nothing(template: str) -> ValueError:
    names = [first or second for first, second in _VARIABLE.findall(template)]
    unset = [name for name in names if not os.environ.get(name)]
    reason = f": the environment variable {unset[0]} is not set" if unset else ""
    return ValueError(
        f"{template!r} resolves to nothing{reason}. Leaving it out would mean something else, so "
        "nothing is assumed. Set it where the definitions load, give a default, as in "
        "{{ env('NAME', 'default') }}, or remove the key."
    )
