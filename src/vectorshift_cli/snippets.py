"""Python as it is printed: values, calls, and the DAG or the definitions around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

_FIRST_DAY = "2026-01-01"

Arguments = Mapping[str, str]
"""Arguments of a call, each as the code of its value."""


def literal(value: Any) -> str:
    """A value as Python writes it, with the quotes that formatters prefer."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        pairs = (f"{literal(name)}: {literal(each)}" for name, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def listed(values: Sequence[str]) -> str:
    """A list with a line, or several, for each value that is code already."""
    return "\n".join(["[", *(f"{indent(each, ' ' * 4)}," for each in values), "]"])


def call(name: str, arguments: Arguments, *first: str) -> str:
    """A call with a line for each argument; those whose value is None are left out."""
    values = [f"{each}={value}" for each, value in arguments.items() if value != "None"]
    return "\n".join(
        [f"{name}(", *(indent(f"{each},", " " * 4) for each in [*first, *values]), ")"]
    )


def dag(
    dag_id: str,
    tasks: Sequence[tuple[str, str, Arguments]],
    zone: str,
    *,
    names: Sequence[str],
    note: str = "",
) -> str:
    """A DAG of each day with its tasks: operator, task's id and arguments. `names` come from the core."""
    operators = ", ".join(sorted({operator for operator, _, _ in tasks}))
    lines = [
        *_comment(note),
        "from datetime import datetime, timezone",
        "",
        "from airflow.sdk import DAG",
        "from airflow.timetables.interval import CronDataIntervalTimetable",
        "",
        f"from airflow_provider_vectorshift.operators import {operators}",
        *_from_core(names),
        "",
        "# Connection vectorshift_default has the API's address as its host, the key as its password.",
        "with DAG(",
        f"    {literal(dag_id)},",
        f'    schedule=CronDataIntervalTimetable("0 0 * * *", timezone={literal(zone)}),',
        "    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),",
        "    catchup=False,",
        "):",
    ]
    for operator, task_id, arguments in tasks:
        task = call(operator, {"task_id": literal(task_id), **arguments})
        lines.append(indent(task, " " * 4))
    return "\n".join(lines) + "\n"


def definitions(
    made: str,
    asset: str,
    zone: str,
    *,
    taken: Sequence[str],
    names: Sequence[str],
    storage: str | None,
    check: str | None = None,
) -> str:
    """Dagster's definitions of what is made, with a partition for each day.

    `taken` comes from the integration, `names` from the core.
    """
    every = sorted([*taken, "VectorShiftResource"])
    resources = ['"vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),']
    if storage is not None:
        resources.append(f'"storage": {storage},')
    lines = [
        "import dagster as dg",
        "",
        *_imported("dagster_vectorshift", every),
        *_from_core(names),
        "",
        f"days = dg.DailyPartitionsDefinition({literal(_FIRST_DAY)}, timezone={literal(zone)})",
        made,
        "defs = dg.Definitions(",
        f"    assets=[{asset}],",
        *([] if check is None else [f"    asset_checks=[{check}],"]),
        "    resources={",
        *(f"        {each}" for each in resources),
        "    },",
        ")",
    ]
    return "\n".join(lines) + "\n"


def _from_core(names: Sequence[str]) -> list[str]:
    return [f"from vectorshift_orchestration import {', '.join(sorted(names))}"] if names else []


def _imported(module: str, names: Sequence[str]) -> list[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= 88:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _comment(text: str) -> list[str]:
    return [f"# {text}"] if text else []
