"""The Airflow operator or the Dagster asset that does what a command does, as code that runs as it stands.

A command is about one window; what is printed is about each day in its turn, at the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import typer

from vectorshift_cli.documents import query_of
from vectorshift_cli.places import PLACE
from vectorshift_orchestration.health import ErrorTable, HealthTable
from vectorshift_orchestration.specs import AggregationSpec, QuerySpec
from vectorshift_orchestration.specs.documents import nearest
from vectorshift_orchestration.thresholds.rules import Rule

_FIRST_DAY = "2026-01-01"
_DAY_OF_A_RUN = "{{ data_interval_start | ds }}"

Document = Mapping[str, Any]


def show_export(orchestrator: str, document: Document) -> str:
    """Code for `export`."""
    if _is_airflow(orchestrator):
        format_ = document.get("format")
        arguments = {
            "query": _query(document),
            **_words(document, "destination", "parquet"),
            **({} if format_ is None else {"file_format": repr(str(format_).upper())}),
            **_seconds(document),
            **_place(document),
        }
        return _dag(
            "vectorshift_export", [("VectorShiftExportOperator", "export", arguments)], document
        )
    storage = _storage(document)
    name = document.get("table") or "events"
    options = {
        "query": _query(document),
        "partitions_def": "days",
        **_words(document, "format", "source", "replace_other", "replace_characters"),
        **_seconds(document),
    }
    made = _call("build_export_asset", options, first=repr(name.rpartition(".")[2]), table=name)
    return _definitions(["build_export_asset"], f"events = {made}", ["events"], storage, document)


def show_health(
    orchestrator: str, document: Document, tables: Sequence[HealthTable | ErrorTable]
) -> str:
    """Code for `health`. Airflow has no operator for error messages, and the code says so."""
    if _is_airflow(orchestrator):
        tasks, left = [], []
        for table in tables:
            if isinstance(table, ErrorTable):
                left.append(table.name)
                continue
            arguments = {
                "query": _query(document),
                "metrics": repr(list(table.metrics)),
                "group_by": repr(list(table.group_by)),
                "interval": repr(table.interval),
                **_place({**document, "table": table.table_name}),
            }
            tasks.append(("VectorShiftAggregateOperator", f"measure_{table.name}", arguments))
        note = (
            f"# {', '.join(left)}: Airflow has no operator for it; in Dagster it is an ErrorTable.\n"
            if left
            else ""
        )
        return note + _dag("vectorshift_health", tasks, document)
    lines = [f"    {_table(table)}," for table in tables]
    options = {
        "tables": "[\n" + "\n".join(f"    {line}" for line in lines) + "\n    ]",
        "query": _query(document),
        "partitions_def": "days",
        **_words(document, "source", "replace_other", "replace_characters"),
    }
    names = ["build_health_assets", *sorted({type(table).__name__ for table in tables})]
    made = f"health = {_call('build_health_assets', options)}"
    return _definitions(names, made, ["health"], _storage(document), document)


def show_figures(orchestrator: str, document: Document, figures: AggregationSpec) -> str:
    """Code for `query aggregate`: in Airflow the rows are the task's result, in Dagster a table."""
    group_by = [each for each in figures.group_by if each != "time"]
    if _is_airflow(orchestrator):
        arguments = {
            "query": _query(document),
            "metrics": repr(list(figures.metrics)),
            **({"group_by": repr(group_by)} if group_by else {}),
            **({"interval": repr(figures.interval)} if figures.interval else {}),
        }
        tasks = [("VectorShiftAggregateOperator", "measure", arguments)]
        return _dag("vectorshift_figures", tasks, document)
    table = HealthTable("figures", list(figures.metrics), group_by, figures.interval or "day")
    kept = {**document, "duckdb": document.get("duckdb") or "vectorshift.duckdb"}
    return show_health(orchestrator, kept, [table])


def show_check(orchestrator: str, document: Document, rule: Rule) -> str:
    """Code for `check`."""
    named = {
        name: value for name, value in rule.to_dict().items() if name not in ("version", "rule")
    }
    made = (
        f"{type(rule).__name__}({', '.join(f'{name}={value!r}' for name, value in named.items())})"
    )
    rules = f"from vectorshift_orchestration import {type(rule).__name__}"
    if _is_airflow(orchestrator):
        arguments = {
            "rule": made,
            "query": _query(document),
            **_words(document, "fail_on", "every"),
        }
        tasks = [("VectorShiftThresholdCheckOperator", "check", arguments)]
        return _dag("vectorshift_check", tasks, document, rules)
    options = {"rule": made, "query": _query(document), "partitions_def": "days"}
    lines = (
        'checked = dg.AssetSpec("pipeline_runs", partitions_def=days)\n'
        f"check = {_call('build_rule_check', options, first='checked')}"
    )
    return _definitions(
        ["build_rule_check"], lines, ["checked"], None, document, rules, checks=["check"]
    )


def show_report(orchestrator: str, document: Document, tables: Sequence[str]) -> str:
    """Code for `report`."""
    output = str(document.get("output") or "health.html")
    if _is_airflow(orchestrator):
        arguments = {
            "tables": repr(list(tables)),
            "destination": repr(output.replace(PLACE, _DAY_OF_A_RUN)),
            **_words(document, "title"),
            **{name: value for name, value in _place(document).items() if name != "table"},
        }
        return _dag(
            "vectorshift_report", [("VectorShiftReportOperator", "report", arguments)], document
        )
    options = {
        "tables": repr(list(tables)),
        "destination": repr(output.replace(PLACE, "{partition}")),
        "partitions_def": "days",
        **_words(document, "title"),
    }
    made = f"page = {_call('build_report_asset', options)}"
    return _definitions(["build_report_asset"], made, ["page"], _storage(document), document)


# --- parts of code ---


def _is_airflow(orchestrator: str) -> bool:
    word = orchestrator.lower()
    if word not in ("airflow", "dagster"):
        told = nearest(word, ["airflow", "dagster"])
        raise typer.BadParameter(f"--show prints code for airflow or dagster, not {word!r}. {told}")
    return word == "airflow"


def _query(document: Document) -> str:
    spec: QuerySpec = query_of(document)
    parts = {name: value for name, value in spec.to_dict().items() if name != "version"}
    stated = ", ".join(f"{name}={value!r}" for name, value in parts.items())
    return f"QuerySpec({stated}).query()" if parts else "None"


def _words(document: Document, *names: str) -> dict[str, str]:
    found = {name: document[name] for name in names if document.get(name) not in (None, False)}
    return {
        name: repr(value.replace(PLACE, _DAY_OF_A_RUN) if isinstance(value, str) else value)
        for name, value in found.items()
    }


def _seconds(document: Document) -> dict[str, str]:
    return _words(document, "timeout", "poll_interval")


def _place(document: Document) -> dict[str, str]:
    found = _words(document, "table", "source", "replace_other", "replace_characters")
    if document.get("duckdb") is not None:
        found["duckdb_path"] = repr(str(document["duckdb"]))
    if document.get("postgres") is not None:
        found["sql_conn_id"] = "'postgres_default'"
    return found


def _storage(document: Document) -> tuple[str, str]:
    """The storage's class and how it is made. Raises `typer.BadParameter` for two places at once."""
    destination = document.get("destination")
    if destination is not None and document.get("table") is not None:
        raise typer.BadParameter(
            "An asset lands in one storage: give --destination or --table to see Dagster's code."
        )
    if destination is not None:
        name = "ParquetStorage" if document.get("parquet") else "FileStorage"
        return name, f"{name}(path={str(PurePosixPath(destination).parent)!r})"
    if document.get("postgres") is not None:
        return "PostgresStorage", f"PostgresStorage(url=dg.EnvVar({document['postgres']!r}))"
    return "DuckDBStorage", f"DuckDBStorage(path={str(document.get('duckdb'))!r})"


def _table(table: HealthTable | ErrorTable) -> str:
    table_is = {} if table.table is None else {"table": repr(table.table)}
    if isinstance(table, ErrorTable):
        options = {"limit": repr(table.limit), **table_is}
    else:
        options = {
            "metrics": repr(list(table.metrics)),
            "group_by": repr(list(table.group_by)),
            "interval": repr(table.interval),
            **table_is,
        }
    stated = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{type(table).__name__}({table.name!r}, {stated})"


def _call(
    name: str, options: Mapping[str, str], *, first: str = "", table: str | None = None
) -> str:
    lines = [f"    {first},"] if first else []
    given = {**options, **({"table": repr(table)} if table and repr(table) != first else {})}
    lines += [f"    {option}={value}," for option, value in given.items() if value != "None"]
    return "\n".join([f"{name}(", *lines, ")"])


def _dag(
    dag_id: str,
    tasks: Sequence[tuple[str, str, Mapping[str, str]]],
    document: Document,
    *more: str,
) -> str:
    operators = sorted({operator for operator, _, _ in tasks})
    zone = document.get("timezone", "UTC")
    imports = [
        "from datetime import datetime, timezone",
        "",
        "from airflow.sdk import DAG",
        "from airflow.timetables.interval import CronDataIntervalTimetable",
        "",
        f"from airflow_provider_vectorshift.operators import {', '.join(operators)}",
        *more,
        *(["from vectorshift_orchestration import QuerySpec"] if document.get("query") else []),
    ]
    lines = [
        "# Connection vectorshift_default has the API's address as its host and the key as its password.",
        "with DAG(",
        f"    {dag_id!r},",
        f"    schedule=CronDataIntervalTimetable('0 0 * * *', timezone={zone!r}),",
        "    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),",
        "    catchup=False,",
        "):",
    ]
    for operator, task_id, arguments in tasks:
        call = _call(operator, {"task_id": repr(task_id), **arguments})
        lines += [f"    {line}" for line in call.splitlines()]
    return "\n".join([*imports, "", *lines]) + "\n"


def _definitions(
    names: Sequence[str],
    made: str,
    assets: Sequence[str],
    storage: tuple[str, str] | None,
    document: Document,
    *more: str,
    checks: Sequence[str] = (),
) -> str:
    taken = sorted([*names, "VectorShiftResource", *([storage[0]] if storage else [])])
    zone = document.get("timezone", "UTC")
    resources = [
        '        "vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY")),',
        *([f'        "storage": {storage[1]},'] if storage else []),
    ]
    lines = [
        "import dagster as dg",
        "",
        f"from dagster_vectorshift import {', '.join(taken)}",
        *more,
        *(["from vectorshift_orchestration import QuerySpec"] if document.get("query") else []),
        "",
        f"days = dg.DailyPartitionsDefinition({_FIRST_DAY!r}, timezone={zone!r})",
        made,
        "defs = dg.Definitions(",
        f"    assets=[{', '.join(assets)}],",
        *([f"    asset_checks=[{', '.join(checks)}],"] if checks else []),
        "    resources={",
        *resources,
        "    },",
        ")",
    ]
    return "\n".join(lines) + "\n"
