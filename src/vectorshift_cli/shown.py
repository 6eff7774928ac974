"""The Airflow operator or the Dagster asset that does what a command does, as code that runs as it stands.

A command is about one window; what is printed is about each day in its turn, at the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from vectorshift_cli.documents import query_of
from vectorshift_cli.places import PLACE
from vectorshift_cli.snippets import Arguments, call, dag, definitions, listed, literal
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.health import ErrorTable, HealthTable
from vectorshift_orchestration.specs import AggregationSpec
from vectorshift_orchestration.specs.documents import nearest
from vectorshift_orchestration.thresholds.rules import Rule

_DAY_OF_A_RUN = "{{ data_interval_start | ds }}"
_KEPT = ("source", "replace_other", "replace_characters")

Document = Mapping[str, Any]


def show_export(orchestrator: str, document: Document) -> str:
    """Code for `export`."""
    waiting = _words(document, "timeout", "poll_interval", "chunks")
    if _is_airflow(orchestrator):
        format_ = document.get("format")
        arguments = {
            "query": _query(document),
            **_words(document, "destination", "parquet"),
            "file_format": literal(None if format_ is None else str(format_).upper()),
            **waiting,
            **_place(document),
        }
        return _dag(
            "vectorshift_export", [("VectorShiftExportOperator", "export", arguments)], document
        )
    table = document.get("table") or "events"
    name = table.rpartition(".")[2]
    options = {
        "query": _query(document),
        "partitions_def": "days",
        **_words(document, "format", *_KEPT),
        **waiting,
        "table": literal(None if table == name else table),
    }
    made = call("build_export_asset", options, literal(name))
    return _definitions(f"events = {made}", "events", document, "build_export_asset")


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
            place = _place({**document, "table": table.table_name})
            arguments = {"query": _query(document), **_figures(table), **place}
            tasks.append(("VectorShiftAggregateOperator", f"measure_{table.name}", arguments))
        message = (
            f"{', '.join(left)}: Airflow has no operator for it; in Dagster it is an ErrorTable."
        )
        return _dag("vectorshift_health", tasks, document, note=message if left else "")
    options = {
        "tables": listed([_table(each) for each in tables]),
        "query": _query(document),
        "partitions_def": "days",
        **_words(document, *_KEPT),
    }
    made = f"health = {call('build_health_assets', options)}"
    kinds = sorted({type(table).__name__ for table in tables})
    return _definitions(made, "health", document, "build_health_assets", *kinds)


def show_figures(orchestrator: str, document: Document, figures: AggregationSpec) -> str:
    """Code for `query aggregate`: in Airflow the rows are the task's result, in Dagster a table."""
    group_by = [each for each in figures.group_by if each != "time"]
    if _is_airflow(orchestrator):
        arguments = {
            "query": _query(document),
            "metrics": literal(figures.metrics),
            "group_by": literal(group_by or None),
            "interval": literal(figures.interval),
        }
        tasks = [("VectorShiftAggregateOperator", "measure", arguments)]
        return _dag("vectorshift_figures", tasks, document)
    table = HealthTable("figures", list(figures.metrics), group_by, figures.interval or "day")
    return show_health(orchestrator, {"duckdb": "vectorshift.duckdb", **document}, [table])


def show_check(orchestrator: str, document: Document, rule: Rule) -> str:
    """Code for `check`."""
    parameters = dict(reversed(rule.to_dict().items()))  # what is judged comes before its limits
    named = {name: each for name, each in parameters.items() if name not in ("version", "rule")}
    kind = type(rule).__name__
    made = f"{kind}({', '.join(f'{name}={literal(each)}' for name, each in named.items())})"
    if _is_airflow(orchestrator):
        arguments = {
            "rule": made,
            "query": _query(document),
            **_words(document, "fail_on", "every"),
        }
        tasks = [("VectorShiftThresholdCheckOperator", "check", arguments)]
        return _dag("vectorshift_check", tasks, document, kind)
    options = {"rule": made, "query": _query(document)}
    lines = (
        'checked = dg.AssetSpec("pipeline_runs", partitions_def=days)\n'
        f"check = {call('build_rule_check', options, 'checked')}"
    )
    return definitions(
        lines,
        "checked",
        _zone(document),
        taken=["build_rule_check"],
        names=_core_names(document, kind),
        storage=None,
        check="check",
    )


def show_report(orchestrator: str, document: Document, tables: Sequence[str]) -> str:
    """Code for `report`."""
    output = str(document["output"])
    options = {"tables": literal(tables), **_words(document, "title")}
    if _is_airflow(orchestrator):
        destination = {"destination": literal(output.replace(PLACE, _DAY_OF_A_RUN))}
        arguments = {**options, **destination, **_place(document)}
        return _dag(
            "vectorshift_report", [("VectorShiftReportOperator", "report", arguments)], document
        )
    destination = {"destination": literal(output.replace(PLACE, "{partition}"))}
    made = call("build_report_asset", {**options, **destination, "partitions_def": "days"})
    return _definitions(f"page = {made}", "page", document, "build_report_asset")


# --- what several of them share ---


def _is_airflow(orchestrator: str) -> bool:
    word = orchestrator.lower()
    if word not in ("airflow", "dagster"):
        message = nearest(word, ["airflow", "dagster"])
        raise SpecError(f"--show prints code for airflow or dagster, not {word!r}. {message}")
    return word == "airflow"


def _query(document: Document) -> str:
    """The query as it was stated, which is shorter than all that it means."""
    query_of(document)  # which refuses what no query can say
    parts = {name: each for name, each in document.get("query", {}).items() if name != "version"}
    parameters = ", ".join(f"{name}={literal(value)}" for name, value in parts.items())
    return f"QuerySpec({parameters}).query()" if parts else "None"


def _words(document: Document, *names: str) -> dict[str, str]:
    result = {name: document[name] for name in names if document.get(name) not in (None, False)}
    return {
        name: literal(value.replace(PLACE, _DAY_OF_A_RUN) if isinstance(value, str) else value)
        for name, value in result.items()
    }


def _place(document: Document) -> dict[str, str]:
    result = _words(document, "table", *_KEPT)
    if document.get("duckdb") is not None:
        result["duckdb_path"] = literal(str(document["duckdb"]))
    if document.get("postgres") is not None:
        result["sql_conn_id"] = literal("postgres_default")
    return result


def _figures(table: HealthTable) -> dict[str, str]:
    return {name: literal(getattr(table, name)) for name in ("metrics", "group_by", "interval")}


def _table(table: HealthTable | ErrorTable) -> str:
    options: Arguments = (
        {"limit": literal(table.limit)} if isinstance(table, ErrorTable) else _figures(table)
    )
    kind = type(table).__name__
    return call(kind, {**options, "table": literal(table.table)}, literal(table.name))


def _storage(document: Document) -> tuple[str, str]:
    """The storage's class and how it is made. Raises `SpecError` for two places at once."""
    destination = document.get("destination")
    if destination is not None and document.get("table") is not None:
        raise SpecError(
            "An asset lands in one storage: give --destination or --table to see Dagster's code."
        )
    if destination is not None:
        name = "ParquetStorage" if document.get("parquet") else "FileStorage"
        return name, f"{name}(path={literal(str(PurePosixPath(destination).parent))})"
    if (variable := document.get("postgres")) is not None:
        return "PostgresStorage", f"PostgresStorage(url=dg.EnvVar({literal(variable)}))"
    return "DuckDBStorage", f"DuckDBStorage(path={literal(str(document.get('duckdb')))})"


def _dag(
    dag_id: str,
    tasks: Sequence[tuple[str, str, Arguments]],
    document: Document,
    *names: str,
    note: str = "",
) -> str:
    return dag(dag_id, tasks, _zone(document), names=_core_names(document, *names), note=note)


def _definitions(made: str, asset: str, document: Document, *taken: str) -> str:
    storage, code = _storage(document)
    return definitions(
        made,
        asset,
        _zone(document),
        taken=[*taken, storage],
        names=_core_names(document),
        storage=code,
    )


def _core_names(document: Document, *names: str) -> list[str]:
    return [*names, *(["QuerySpec"] if document.get("query") else [])]


def _zone(document: Document) -> str:
    return str(document.get("timezone", "UTC"))
