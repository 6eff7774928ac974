"""Descriptions as JSON: versioned, with known keys only, and open to templates until they are read.

A description is plain JSON values, so that it fits YAML, task parameters and trigger arguments.
Every text in it may be a template. Whoever owns the templates renders them first (`rendered`), and
only then is the description read and checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vectorshift_orchestration.errors import SpecError

VERSION = 1
"""The version of every description that this package writes and reads."""

Render = Callable[[str], Any]
"""Renders a text with a template."""


def rendered(value: Any, render: Render) -> Any:
    """The same JSON value with `render` applied to every text in it, however deep; keys stay."""
    if isinstance(value, str):
        return render(value)
    if isinstance(value, Mapping):
        return {key: rendered(each, render) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(each, render) for each in value]
    return value


def opened(
    document: Any, keys: Iterable[str], noun: str, render: Render | None = None
) -> dict[str, Any]:
    """The keys of a description but `version`, rendered if `render` is given.

    A missing version is the current one. Raises `SpecError` for anything that is not a JSON object,
    for another version, and for an unknown key, with the nearest known one.
    """
    if not isinstance(document, Mapping):
        raise SpecError(f"{noun} is described by a JSON object, not by {document!r}.")
    parts = dict(document) if render is None else rendered(document, render)
    version = parts.pop("version", VERSION)
    if isinstance(version, bool) or str(version) != str(VERSION):
        raise SpecError(
            f"{noun} of version {version!r} cannot be read; this is version {VERSION}. "
            "Upgrade, or write a new description."
        )
    keys = list(keys)
    for key in parts:
        if key not in keys:
            raise SpecError(f"{noun} has no key {key!r}. {nearest(key, keys)}")
    return parts


def nearest(name: Any, choices: Iterable[str]) -> str:
    """A closing sentence: the choice most similar to `name`, or all of them."""
    from difflib import get_close_matches

    choices = list(choices)
    near = get_close_matches(str(name).lower(), choices, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(choices)}."


def require_list(value: object, name: str) -> None:
    """Raise `SpecError` for one thing where several are due: a text is one of letters."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise SpecError(f"{name} is a list: write {name}=[{value!r}].")


def digest(value: object) -> str:
    """Twelve hex digits that are equal for equal JSON values."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
