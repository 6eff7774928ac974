"""A verdict for people and other systems: its messages, and its JSON form.

Error messages are users' text. A key or a signed URL in one is redacted and a long one cut,
because what orchestrators pass on is stored and read in clear.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vectorshift.errors import VectorshiftError, redact
from vectorshift_orchestration.specs.scopes import scoped
from vectorshift_orchestration.thresholds.error_messages import TopErrors, atop_errors, top_errors
from vectorshift_orchestration.thresholds.judging import Judging
from vectorshift_orchestration.thresholds.rules import Rule
from vectorshift_orchestration.thresholds.verdicts import Verdict
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query

_log = logging.getLogger(__name__)

_EXPLAINED = 5
_LONGEST_MESSAGE = 300


def judge(
    client: Client,
    query: Mapping[str, Any] | None,
    rule: Rule,
    window: Window,
    *,
    every: str | None = None,
    tz: str = "UTC",
) -> dict[str, Any]:
    """Measure the window, judge it by the rule, and say why runs failed where it is breached.

    `query` is the JSON form of a `Query` without a time; None is every event of the account. `every`
    and `tz` say which windows came before, as in `thresholds.evaluate`.

    Returns `verdict_as_json`. One request, and one more for the messages of a window with too many
    errors. Raises what `Judging.ask` raises.
    """
    scope = scoped(client, query)
    judging = Judging(rule, [window], lambda each, count: each.earlier(count, every, tz, fold=1))
    (verdict,) = judging.ask(scope)
    return verdict_as_json(verdict, rule, explain(scope, judging, [verdict]).get(window))


async def ajudge(
    client: Client, query: Mapping[str, Any] | None, rule: Rule, window: Window
) -> dict[str, Any]:
    """`judge`, awaiting."""
    scope, errors = scoped(client, query), None
    judging = Judging(rule, [window])
    (verdict,) = await judging.aask(scope)
    if judging.needs_messages(verdict):
        try:
            errors = await atop_errors(scope, window)
        except VectorshiftError as problem:
            log_without_messages(window, problem)
    return verdict_as_json(verdict, rule, errors)


def explain(query: Query, judging: Judging, verdicts: Iterable[Verdict]) -> dict[Window, TopErrors]:
    """The commonest error messages of windows with too many errors: the latest five of them.

    One request for each; none for windows that are all right, and for rules about anything else. A
    breach whose messages are unavailable is reported without them.
    """
    errors = {}
    for window in sorted(each.window for each in verdicts if judging.needs_messages(each))[
        -_EXPLAINED:
    ]:
        try:
            errors[window] = top_errors(query, window)
        except VectorshiftError as problem:
            log_without_messages(window, problem)
    return errors


def verdict_as_json(
    verdict: Verdict, rule: Rule, errors: TopErrors | None = None
) -> dict[str, Any]:
    """The verdict as JSON values.

    Keys: `ok`, `state`, `severity`, `observed`, `limit`, `sample`, `reason`, `window` (`start`,
    `end`), `rule`, `top_errors` (a list of `message` and `count`), `failed_events` (how many there
    are; None if they were not requested), and `message`, the reason and the errors as text for people.
    """
    document = verdict.to_dict() | {
        "rule": rule.to_dict(),
        "top_errors": [
            {"message": _presentable(text), "count": count}
            for text, count in (errors.messages if errors is not None else ())
        ],
        "failed_events": None if errors is None else errors.failed,
    }
    return document | {"message": _message(document)}


def log_without_messages(window: Window, problem: Exception) -> None:
    """A breach is reported without its messages rather than late."""
    _log.warning("The error messages of %s could not be read: %s", window.label, problem)


def _message(document: Mapping[str, Any]) -> str:
    errors = [f"{each['count']:,} x {each['message']}" for each in document["top_errors"]]
    heading = ["Most frequent errors:"] if errors else []
    return "\n".join([document["reason"], *heading, *errors])


def _presentable(message: str) -> str:
    line = redact(" ".join(message.split()))
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 3]}..."
