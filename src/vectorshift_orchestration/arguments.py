"""Functions that are called with the fields of an options object as their arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from vectorshift_orchestration.specs.documents import nearest

_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (.+(?:\n[ \t]+.+)*)$", re.MULTILINE)

_Arguments = ParamSpec("_Arguments")
_Options = TypeVar("_Options")
_Result = TypeVar("_Result")
_Options_contra = TypeVar("_Options_contra", contravariant=True)
_Result_co = TypeVar("_Result_co", covariant=True)


class Factory(Protocol[_Arguments, _Options_contra, _Result_co]):
    """A function that is called with arguments, or by `of` with an object that holds them."""

    def __call__(self, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result_co:
        """The result for the arguments."""

    def of(self, options: _Options_contra) -> _Result_co:
        """The result for the options."""


def takes(
    options: Callable[_Arguments, _Options],
) -> Callable[[Callable[[_Options], _Result]], Factory[_Arguments, _Options, _Result]]:
    """Let a function of an options object be called with the object's fields as arguments.

    Editors, type checkers and `help` see the fields with their defaults. An unknown name is a
    `TypeError` that says which one is meant.
    """
    signature = inspect.signature(options)

    def decorate(build: Callable[[_Options], _Result]) -> Factory[_Arguments, _Options, _Result]:
        @wraps(build)
        def factory(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            for name in kwargs:
                if name not in signature.parameters:
                    hint = nearest(name, signature.parameters)
                    raise TypeError(f"{build.__name__} has no option {name!r}. {hint}")
            return build(options(*args, **kwargs))

        vars(factory).update(__signature__=signature, of=build)
        return cast("Factory[_Arguments, _Options, _Result]", factory)

    return decorate


def described(options: Any) -> dict[str, str]:
    """The description of each argument in the docstrings of a class and its bases.

    An argument, or several of them, begins a line and ends with a colon; lines that go on are indented.
    Fields of a pydantic model may have descriptions instead.
    """
    fields = getattr(options, "model_fields", {})
    descriptions: dict[str, str] = {
        name: each.description for name, each in fields.items() if each.description
    }
    for each in reversed(options.__mro__):
        text = inspect.cleandoc(vars(each).get("__doc__") or "")
        for names, description in _ARGUMENT.findall(text):
            descriptions |= dict.fromkeys(names.split(", "), " ".join(description.split()))
    return descriptions
