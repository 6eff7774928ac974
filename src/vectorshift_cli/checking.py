"""`check`: a window judged by a rule; the exit code says whether it is all right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from vectorshift_cli import options as o
from vectorshift_cli.documents import QUERY, WINDOW, merged, query_of
from vectorshift_cli.places import client_of, window_of
from vectorshift_cli.screen import Screen
from vectorshift_cli.shown import show_check
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs.measurable import require_measurable
from vectorshift_orchestration.thresholds.rules import Rule, rule_from_dict

BREACHED = 1
"""The exit code of a check that has failed."""

FAILING: Mapping[str, frozenset[str]] = {
    "error": frozenset({"ERROR"}),
    "warn": frozenset({"ERROR", "WARN"}),
    "never": frozenset(),
}

_KEYS = (*QUERY, *WINDOW, "rule", "fail_on", "every")


def check(
    context: typer.Context,
    spec: o.Spec = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What is judged: errors.sum, error_rate, latency.p95.", rich_help_panel="Rule"
        ),
    ] = None,
    warn: Annotated[
        float | None, typer.Option(help="The last value without a warning.", rich_help_panel="Rule")
    ] = None,
    error: Annotated[
        float | None, typer.Option(help="The last value without an error.", rich_help_panel="Rule")
    ] = None,
    minimum_sample: Annotated[
        int | None, typer.Option(help="Fewer runs are not judged.", rich_help_panel="Rule")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(help="error (the default), warn, or never.", rich_help_panel="Rule"),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            help="Which windows came before, for a change or a baseline: day, week, ...",
            rich_help_panel="Rule",
        ),
    ] = None,
    object_id: o.ObjectId = None,
    object_type: o.ObjectType = None,
    kinds: o.Kinds = None,
    where: o.Where = None,
    start: o.Start = None,
    end: o.End = None,
    day: o.Day = None,
    days: o.Days = None,
    timezone: o.Timezone = None,
    base_url: o.BaseUrl = None,
    account: o.Settings = None,
    as_json: o.AsJson = False,
    show: o.Show = None,
) -> None:
    """Judge a window by a rule: exit code 0 when all is right, 1 when the limit is passed.

    A spec may hold any rule: absolute, rate, change, baseline.
    """
    from vectorshift_orchestration.thresholds.reports import judge

    screen: Screen = context.obj
    document = merged("A check's spec", _KEYS, spec, locals())
    limits = {"metric": metric, "warn": warn, "error": error, "minimum_sample": minimum_sample}
    rule = _rule(document, {name: each for name, each in limits.items() if each is not None})
    failing = FAILING.get(document.get("fail_on", "error"))
    if failing is None:
        raise SpecError(f"fail_on is error, warn or never, not {document['fail_on']!r}.")
    query = query_of(document).query()
    require_measurable(query)
    if show is not None:
        screen.code(show_check(show, document, rule))
        return
    window = window_of(document)
    with client_of(document) as client:
        verdict = judge(
            client,
            query.to_dict(),
            rule,
            window,
            every=document.get("every"),
            tz=document.get("timezone", "UTC"),
        )
    if as_json:
        screen.value(verdict, "json")
    else:
        _tell(screen, verdict)
    if verdict["severity"] in failing:
        raise typer.Exit(BREACHED)


def _rule(document: Mapping[str, Any], limits: Mapping[str, Any]) -> Rule:
    stated_rule = document.get("rule")
    if stated_rule is None and not limits:
        raise SpecError(
            "There is no rule: give --metric with --warn or --error, or rule in a spec."
        )
    if stated_rule is None and "metric" not in limits:
        raise SpecError("The limits need a figure: give --metric, such as errors.sum.")
    if stated_rule is not None and not isinstance(stated_rule, Mapping):
        raise SpecError(f"A rule is described by keys and values, not by {stated_rule!r}.")
    return rule_from_dict({"rule": "absolute"} | dict(stated_rule or {}) | dict(limits))


def _tell(screen: Screen, verdict: Mapping[str, Any]) -> None:
    colours = {"ERROR": "bold red", "WARN": "bold yellow"}
    word = verdict["severity"] or {"ok": "OK"}.get(verdict["state"], "INSUFFICIENT DATA")
    colour = colours.get(word, "bold green" if word == "OK" else "bold")
    screen.out.print(
        f"[{colour}]{word}[/] {escape(verdict['message'])}", highlight=False, soft_wrap=True
    )
