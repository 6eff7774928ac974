"""What can be switched while the emulator runs; docs/emulator.md lists every switch."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

Case: TypeAlias = Literal["camel", "snake"]
Bounds: TypeAlias = Literal["closed", "open", "half-open", "open-closed"]
"""Which ends of [start_time, end_time] belong to it: both, none, the start only, the end only."""
ExportMode: TypeAlias = Literal["async", "sync", "no-poll"]


class BadSetting(ValueError):
    """A setting that does not exist, or a value it does not take; the text says which."""


@dataclass
class Settings:
    """How the service behaves.

    Args:
        keys: case of the keys of events, cells and aggregation results.
        envelope: case of the keys of the reply around them.
        bounds: which ends of [start_time, end_time] belong to it.
        strict: whether unknown fields of a request are refused.
        rate_limit: requests per second before 429; None is no limit.
        live: traces per second that keep arriving.
        export_mode: whether an export is pending first, ready at once, or cannot be polled.
        export_delay: seconds that an export stays pending at least, in mode async.
        url_ttl: seconds that a download URL lives.
        digest: whether a download names the SHA-256 of its file.

    A change counts from the next request or export on.
    """

    keys: Case = "camel"
    envelope: Case = "snake"
    bounds: Bounds = "closed"
    strict: bool = True
    rate_limit: float | None = None
    live: float = 0.0
    export_mode: ExportMode = "async"
    export_delay: float = 0.2
    url_ttl: float = 900.0
    digest: bool = True

    def __post_init__(self) -> None:
        for name, value in self.shown().items():
            _check(name, value)

    def shown(self) -> dict[str, Any]:
        """The value of every switch."""
        return asdict(self)

    def change(self, changes: Any) -> None:
        """Set some switches, all or none.

        Raises:
            BadSetting: a name or a value is unknown; the text names the nearest.
        """
        if not isinstance(changes, dict):
            raise BadSetting("settings are an object of names and values")
        for name, value in changes.items():
            _check(name, value)
        for name, value in changes.items():
            setattr(self, name, value)


SWITCHES: dict[str, Any] = get_type_hints(Settings)
"""The type of every switch by its name."""


def _check(name: str, value: Any) -> None:
    """Refuse a switch that does not exist or a value that it does not take."""
    if name not in SWITCHES:
        raise BadSetting(f"there is no setting {name}{nearest(name, SWITCHES)}")
    type_ = SWITCHES[name]
    if get_origin(type_) is Literal:
        if value not in get_args(type_):
            raise BadSetting(f"{name} does not take {value!r}{nearest(value, get_args(type_))}")
    elif type_ is bool:
        if not isinstance(value, bool):
            raise BadSetting(f"{name} is true or false, not {value!r}")
    elif type_ is float:
        if not _finite(value) or value < 0:
            raise BadSetting(f"{name} is a number of 0 or more, not {value!r}")
    elif value is not None and (not _finite(value) or value <= 0):
        raise BadSetting(f"{name} is a number above 0, or null for none, not {value!r}")


def nearest(word: Any, known: Iterable[str]) -> str:
    """The end of a refusal of `word`: the known word that it may stand for, and all of them."""
    every = list(known)
    close = difflib.get_close_matches(str(word), every, 1)
    meant = f": did you mean {close[0]}?" if close else "."
    return f"{meant} Known: {', '.join(every)}"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
