"""What can be switched while the emulator runs; docs/emulator.md lists every switch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from vectorshift_emulator.replies import Case
from vectorshift_emulator.sql import BOUND_OPERATORS, Bounds

if TYPE_CHECKING:
    from vectorshift_emulator.exports import Exports

EXPORT_MODES = ("async", "sync", "no-poll")


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
    """

    keys: Case = "camel"
    envelope: Case = "snake"
    bounds: Bounds = "closed"
    strict: bool = True
    rate_limit: float | None = None
    live: float = 0.0


@dataclass
class Switchboard:
    """Every switch in one place: those of the replies and those of the exports.

    Args:
        settings: switches of the replies.
        exports: holds export_mode, export_delay, url_ttl and digest as its own attributes.
    """

    settings: Settings
    exports: "Exports"
    _first: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._first = self.shown()

    def shown(self) -> dict[str, Any]:
        """The value of every switch."""
        return {
            **asdict(self.settings),
            **{name: getattr(self.exports, attribute) for name, attribute in _OF_EXPORTS.items()},
        }

    def change(self, changes: Any) -> None:
        """Set some switches, all or none.

        Raises:
            BadSetting: a name or a value is unknown.
        """
        if not isinstance(changes, dict):
            raise BadSetting("settings are an object of names and values")
        for name, value in changes.items():
            if name not in _TAKES:
                raise BadSetting(f"there is no setting {name}, only {', '.join(_TAKES)}")
            if not _TAKES[name](value):
                raise BadSetting(f"{name} does not take {value!r}")
        for name, value in changes.items():
            if name in _OF_EXPORTS:
                setattr(self.exports, _OF_EXPORTS[name], value)
            else:
                setattr(self.settings, name, value)

    def reset(self) -> None:
        """Set every switch as it was at first."""
        self.change(self._first)


def _one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in values


def _number(value: Any, least: float = 0.0) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


_OF_EXPORTS = {
    "export_mode": "mode",
    "export_delay": "delay",
    "url_ttl": "url_ttl",
    "digest": "digest",
}
_TAKES: Mapping[str, Callable[[Any], bool]] = {
    "keys": _one_of(*get_args(Case)),
    "envelope": _one_of(*get_args(Case)),
    "bounds": _one_of(*BOUND_OPERATORS),
    "strict": lambda value: isinstance(value, bool),
    "rate_limit": lambda value: value is None or (_number(value) and value > 0),
    "live": _number,
    "export_mode": _one_of(*EXPORT_MODES),
    "export_delay": _number,
    "url_ttl": _number,
    "digest": lambda value: isinstance(value, bool),
}
