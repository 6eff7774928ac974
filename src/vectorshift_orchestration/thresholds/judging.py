"""A rule about windows: what to ask the service, and the verdicts that its answer leads to.

    judging = Judging(rule, windows)
    verdicts = judging.ask(query)

Whoever has the answer by other means, shared with others or read already, takes `question` and
`verdicts`. One request for each judging, whatever the rule, however many windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from vectorshift_orchestration.errors import MergeError, WindowError

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.aggregates.measures import Figures, Question
    from vectorshift_orchestration.thresholds.rules import Rule
    from vectorshift_orchestration.thresholds.verdicts import Verdict
    from vectorshift_orchestration.windows import Window

Before: TypeAlias = "Callable[[Window, int], Sequence[Window]]"
"""That many windows before one, oldest first; fewer if they do not exist."""

_ERRORS = "errors.sum"


def _next_to_it(window: Window, count: int) -> Sequence[Window]:
    return window.earlier(count)


class Judging:
    """A rule, and the windows that it is to judge.

    Args:
        rule: what is too much.
        windows: the windows to judge; those before them that the rule looks back on are added.
        before: which windows came before one; those of its own width unless given.
        sliced: ask by time also where one window would do without, so that the answer may be shared.

    Nothing is raised before `question`, `ask` or `aask` is used.
    """

    def __init__(
        self,
        rule: Rule,
        windows: Sequence[Window],
        before: Before = _next_to_it,
        *,
        sliced: bool = False,
    ) -> None:
        self.rule = rule
        self.windows = windows
        self._before = before
        self._sliced = sliced

    @cached_property
    def question(self) -> Question:
        """The one request whose answer decides on all windows.

        Raises `WindowError` for several windows that are not made of whole UTC hours, `MergeError`
        for a figure, such as a percentile, that cannot be put together from the buckets of one
        window.
        """
        from vectorshift_orchestration.aggregates.measures import question

        every = self._every
        # A single window is requested without slices; given twice, it is one of several.
        several = every * 2 if self._sliced and len(every) == 1 else every
        return question(self.rule.measured, several)

    def verdicts(self, rows: Sequence[Figures]) -> list[Verdict]:
        """The verdict on each window, from the rows that answer `question`."""
        from vectorshift_orchestration.thresholds.verdicts import verdict

        measured = dict(zip(self._every, self.question.read(rows), strict=False))
        return [
            verdict(
                self.rule, window, [measured[each] for each in (*self._history[window], window)]
            )
            for window in self.windows
        ]

    def ask(self, query: Query) -> list[Verdict]:
        """Measure the windows of a query without a time, and judge them.

        Windows whose figures cannot be distinguished in one answer (finer than an hour, or percentiles
        of days that are not UTC days) are requested one by one. Raises `WindowError` or `MergeError`
        for a rule that cannot be applied to a window, and the SDK's errors; nothing for what the data
        are.
        """
        from vectorshift_orchestration.extract import figures

        if (separately := self._separately()) is not None:
            return [judged for each in separately for judged in each.ask(query)]
        needed = self.question
        return self.verdicts(figures(query, needed.window, needed.spec))

    async def aask(self, query: Query) -> list[Verdict]:
        """`ask`, awaiting."""
        from vectorshift_orchestration.extract import afigures

        if (separately := self._separately()) is not None:
            return [judged for each in separately for judged in await each.aask(query)]
        needed = self.question
        return self.verdicts(await afigures(query, needed.window, needed.spec))

    def needs_messages(self, judged: Verdict) -> bool:
        """Whether error messages explain a verdict: a breach, by a rule about failed runs."""
        measured = (metric.operation.shorthand for metric in self.rule.measured.measured)
        return not judged.ok and _ERRORS in measured

    def _separately(self) -> list[Judging] | None:
        """A judging for each window, where one question cannot answer for several."""
        if len(self.windows) < 2:
            return None
        try:
            _ = self.question
        except (MergeError, WindowError):
            return [Judging(self.rule, [window], self._before) for window in self.windows]
        return None

    @cached_property
    def _history(self) -> dict[Window, Sequence[Window]]:
        return {window: self._before(window, self.rule.history) for window in self.windows}

    @cached_property
    def _every(self) -> list[Window]:
        earlier = {each for history in self._history.values() for each in history}
        return sorted({*self.windows, *earlier})
