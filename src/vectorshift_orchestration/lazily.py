"""Names of a package that load when they are first used: files of DAGs and of definitions are parsed again and again.

if TYPE_CHECKING:
    from package.module import Another as Another, Name as Name
else:
    __getattr__, __dir__, __all__ = lazily(__name__, {"module": "Name Another"})
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, by its modules and the names that each has, with spaces between them."""
    home = {name: module for module, names in homes.items() for name in names.split()}
    names = sorted(home)

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: names, names
