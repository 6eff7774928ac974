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
_Made = TypeVar("_Made")
_Taken = TypeVar("_Taken", contravariant=True)
_Given = TypeVar("_Given", covariant=True)


class Factory(Protocol[_Arguments, _Taken, _Given]):
    """A function that is called with arguments, or by `of` with an object that holds them."""

    def __call__(self, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Given:
        """What is made of the arguments."""

    def of(self, options: _Taken) -> _Given:
        """What is made of the options."""


def takes(
    options: Callable[_Arguments, _Options],
) -> Callable[[Callable[[_Options], _Made]], Factory[_Arguments, _Options, _Made]]:
    """Let a function of an options object be called with the object's fields as arguments.

    Editors, type checkers and `help` see the fields with their defaults. An unknown name is a
    `TypeError` that says which one is meant.
    """
    signature = inspect.signature(options)

    def decorate(build: Callable[[_Options], _Made]) -> Factory[_Arguments, _Options, _Made]:
        @wraps(build)
        def factory(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Made:
            for name in kwargs:
                if name not in signature.parameters:
                    known = nearest(name, signature.parameters)
                    raise TypeError(f"{build.__name__} has no option {name!r}. {known}")
            return build(options(*args, **kwargs))

        vars(factory).update(__signature__=signature, of=build)
        return cast("Factory[_Arguments, _Options, _Made]", factory)

    return decorate


def described(options: Any) -> dict[str, str]:
    """What the docstrings of a class, and of those that it inherits from, tell of each argument.

    An argument, or several of them, begins a line and ends with a colon; lines that go on are indented.
    Fields of a pydantic model may have descriptions instead.
    """
    fields = getattr(options, "model_fields", {})
    found: dict[str, str] = {
        name: each.description for name, each in fields.items() if each.description
    }
    for each in reversed(options.__mro__):
        text = inspect.cleandoc(vars(each).get("__doc__") or "")
        for names, told in _ARGUMENT.findall(text):
            found |= dict.fromkeys(names.split(", "), " ".join(told.split()))
    return found
