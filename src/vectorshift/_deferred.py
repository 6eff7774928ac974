"""Modules that load when something of them is first used, so that what builds queries loads nothing that runs them."""

from importlib import import_module
from typing import Any


class Deferred:
    """A placeholder for a module at module level; type checkers see the real import."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)  # the next time it is there
        return value
