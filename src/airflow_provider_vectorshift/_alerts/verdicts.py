"""A verdict as XComs and events carry it, and the judging that leads to it.

Error messages are users' own words. A key or a signed URL in one is blotted out and a long one cut,
because XComs, events and logs are stored and read in clear (RELIABILITY.md 0.2).
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query
    from vectorshift_orchestration import Rule, TopErrors, Verdict, Window

_log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 300


def judge(
    client: "Client",
    query: Mapping[str, Any] | None,
    rule: "Rule",
    window: "Window",
    *,
    every: str | None = None,
    tz: str = "UTC",
) -> dict[str, Any]:
    """Measure the window, judge it by the rule, and say why runs failed where it is breached.

    `query` is the JSON form of a `Query` without a time; None is every event of the account. `every`
    and `tz` say which windows came before, as in `vectorshift_orchestration.evaluate`.

    Returns `verdict_as_json`. One request, and one more for the messages of a window with too many
    errors. Raises what `Judging.ask` raises.
    """
    from vectorshift import VectorshiftError
    from vectorshift_orchestration import Judging, top_errors

    scope, errors = scoped(client, query), None
    judging = Judging(rule, [window], lambda each, count: each.earlier(count, every, tz, fold=1))
    (found,) = judging.ask(scope)
    if judging.needs_messages(found):
        try:
            errors = top_errors(scope, window)
        except VectorshiftError as problem:
            log_without_messages(window, problem)
    return verdict_as_json(found, rule, errors)


async def ajudge(
    client: "Client", query: Mapping[str, Any] | None, rule: "Rule", window: "Window"
) -> dict[str, Any]:
    """`judge`, awaiting."""
    from vectorshift import VectorshiftError
    from vectorshift_orchestration import Judging, atop_errors

    scope, errors = scoped(client, query), None
    judging = Judging(rule, [window])
    (found,) = await judging.aask(scope)
    if judging.needs_messages(found):
        try:
            errors = await atop_errors(scope, window)
        except VectorshiftError as problem:
            log_without_messages(window, problem)
    return verdict_as_json(found, rule, errors)


def verdict_as_json(
    verdict: "Verdict", rule: "Rule", errors: "TopErrors | None" = None
) -> dict[str, Any]:
    """The verdict as JSON values.

    Keys: `ok`, `state`, `severity`, `observed`, `limit`, `sample`, `reason`, `window` (`start`,
    `end`), `rule`, `top_errors` (a list of `message` and `count`), `failed_events` (how many there
    are; None where nobody asked), and `message`, the reason and the errors as text for people.
    """
    told = verdict.to_dict() | {
        "rule": rule.to_dict(),
        "top_errors": [
            {"message": _presentable(text), "count": count}
            for text, count in (errors.messages if errors is not None else ())
        ],
        "failed_events": None if errors is None else errors.failed,
    }
    return told | {"message": _message(told)}


def scoped(client: "Client", query: Mapping[str, Any] | None) -> "Query":
    """The query as the account's own; None is every event."""
    from vectorshift.analytics import Query

    return Query.from_dict(query or {}, client)


def log_without_messages(window: "Window", problem: Exception) -> None:
    """A breach is told without its messages rather than late."""
    _log.warning("The error messages of %s could not be read: %s", window.label, problem)


def _message(told: Mapping[str, Any]) -> str:
    errors = [f"{each['count']:,} x {each['message']}" for each in told["top_errors"]]
    heading = ["Most frequent errors:"] if errors else []
    return "\n".join([told["reason"], *heading, *errors])


def _presentable(message: str) -> str:
    from vectorshift.errors import redact

    line = redact(" ".join(message.split()))
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 3]}..."
