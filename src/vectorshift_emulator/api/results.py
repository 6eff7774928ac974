"""The nested results of an aggregation, as the switches have them printed."""

from typing import Any

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api.replies import spelling


class Tree:
    """Nested results by operation, built from shallow buckets to deep ones.

    Args:
        depth: the number of dimensions.
    """

    def __init__(self, depth: int, settings: Settings) -> None:
        self.depth = depth
        self.results: dict[str, Any] = {}
        self._settings = settings
        self._name = spelling(settings.keys)

    def place(self, operation: str, path: list[str], value: Any) -> None:
        """Put the value of one bucket where its path of labels leads."""
        number = value if isinstance(value, int | float) else float(value)
        if not path:
            self.results[operation] = self._total(number)
            return
        level = self.results[operation]
        for label in path[:-1]:
            level = self._buckets(level, "nested_result", "nested_aggregation_map")[label]
        if len(path) < self.depth:
            nested = self._buckets(level, "nested_result", "nested_aggregation_map")
            nested[path[-1]] = self._total(number)
        elif self._settings.leaf == "message":
            nested = self._buckets(level, "nested_result", "nested_aggregation_map")
            nested[path[-1]] = self._message(number)
        else:
            self._buckets(level, "result", "aggregation_map")[path[-1]] = number

    def _total(self, total: int | float) -> dict[str, Any]:
        """A level with the total of its events, or with none where nobody fills it in."""
        return self._message(0 if self._settings.zeros == "unfilled" else total)

    def _message(self, total: int | float) -> dict[str, Any]:
        if total == 0 and self._settings.zeros == "omitted":
            return {}
        return {self._name("total_aggregation"): total}

    def _buckets(self, level: dict[str, Any], wrapper: str, key: str) -> dict[str, Any]:
        nested = level.setdefault(self._name(wrapper), {self._name(key): {}})
        buckets: dict[str, Any] = nested[self._name(key)]
        return buckets
