"""Replies as JSON text: events and table rows are made into JSON by the database, cheaply.

Source: docs/contract.md A5. Keys of the envelope and keys of what protojson prints inside it have each
their own case. Keys inside object_info, span_attributes, interface_data and caller are user data
and never recased.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from vectorshift_emulator._settings import Case, Settings
from vectorshift_emulator.api import protojson
from vectorshift_emulator.api.columns import EVERY, Column
from vectorshift_emulator.api.requests import Page, Table, TableColumn
from vectorshift_emulator.api.values import expression, instant, literal

_PROTO_NAMES = {
    "span_start_time": "startTime",
    "span_end_time": "endTime",
    "error_message": "statusMessage",
}
"""Keys of an event that the wire names otherwise than the reference page does."""


def spelling(case: Case) -> Callable[[str], str]:
    """How keys are spelled in `case`, given in snake_case."""
    return protojson.camel if case == "camel" else str


def reply(payload: dict[str, Any], envelope: Case) -> str:
    """A successful reply: status and the payload, its own keys in the envelope's case."""
    name = spelling(envelope)
    return compact({"status": "success", **{name(key): value for key, value in payload.items()}})


def failed(error: str) -> str:
    """A reply that says what failed."""
    return compact({"status": "failed", "error": error})


def compact(value: Any) -> str:
    """JSON without blanks; a number that JSON does not have is a defect, not a reply."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def with_list(text: str, key: str, items: Iterable[str]) -> str:
    """The reply `text` with one more key, a list of JSON texts."""
    return f'{text[:-1]},"{key}":[{",".join(items)}]}}'


def with_object(text: str, key: str, item: str) -> str:
    """The reply `text` with one more key, a JSON text."""
    return f'{text[:-1]},"{key}":{item}}}'


def int64(value: int, settings: Settings) -> int | str:
    """A 64-bit integer as protojson prints it, or as a number."""
    return str(value) if settings.int64 == "text" else value


def counted(key: str, value: int, settings: Settings) -> dict[str, int | str]:
    """A field that holds a count, absent where zeros are omitted and it is one."""
    return {} if value == 0 and settings.zeros == "omitted" else {key: int64(value, settings)}


def total_records(total: int, page: int, settings: Settings) -> dict[str, int | str]:
    """What a page of `page` rows says of all records, by switch `total_records`."""
    match settings.total_records:
        case "right":
            return counted("total_records", total, settings)
        case "page":
            return counted("total_records", page, settings)
        case "0":
            return {"total_records": int64(0, settings)}
        case "absent":
            return {}


def pagination(page: Page, total: int, rows: int, settings: Settings) -> dict[str, int | str]:
    """The `pagination_meta` of a page of events; int32 fields are numbers always."""
    fields = {"results_per_page": page.size, "page_number": page.number, "offset": page.offset}
    if settings.zeros == "omitted" and page.offset == 0:
        del fields["offset"]
    name = spelling(settings.envelope)
    every = fields | total_records(total, rows, settings)
    return {name(key): value for key, value in every.items()}


def event_json(settings: Settings) -> str:
    """The SQL expression of one event as JSON text, unset fields left out."""
    pairs = (
        f"'{json.dumps(_event_key(column, settings.keys))}:' || {_event_value(column, settings)}"
        for column in EVERY
    )
    return f"'{{' || concat_ws(',', {', '.join(pairs)}) || '}}'"


def _event_key(column: Column, case: Case) -> str:
    if case == "snake":
        return column.name
    return _PROTO_NAMES.get(column.name, protojson.camel(column.name))


def _event_value(column: Column, settings: Settings) -> str:
    """The JSON text of one field of an event; null when it is unset."""
    if column.type == "status":
        return f"to_json(upper({column.stored}))"
    if column.stored == "caller":
        return (
            "CASE WHEN contains(caller, '@') THEN '{\"email\":' ELSE '{\"system\":' END"
            " || to_json(caller) || '}'"
        )
    value = _value(column, settings)
    if settings.zeros == "omitted" and settings.absent == "default" and column.type != "time":
        return f"nullif(nullif({value}, '\"\"'), '0.0')"
    return value


def _value(column: Column, settings: Settings) -> str:
    if column.type == "json":
        return f"{column.stored}::VARCHAR"
    if column.type == "time":
        return f"to_json({instant(column, settings)})"
    return f"to_json({expression(column, settings)})"


def row_json(table: Table, settings: Settings) -> str:
    """The SQL expression of one table row as JSON text: cells, interface data if requested."""
    cells = ", ".join(_cell(column, settings) for column in table.columns)
    row = f"'{{\"cells\":[' || concat_ws(',', {cells}) || ']'"
    if table.interface_data:
        key = spelling(settings.keys)("interface_data")
        row += f""" || coalesce(',"{key}":' || interface_data::VARCHAR, '')"""
    return f"{row} || '}}'"


def _cell(column: TableColumn, settings: Settings) -> str:
    """A labelled cell with its one typed value; a null has the label alone."""
    name = spelling(settings.keys)
    label = json.dumps(column.label, ensure_ascii=False)
    start = literal(f'{{"{name("column_label")}":{label}')
    oneof = name("number_value" if column.column.type == "number" else "string_value")
    value = f"""',"{oneof}":' || {_cell_value(column.column, settings)}"""
    return f"{start} || coalesce({value}, '') || '}}'"


def _cell_value(column: Column, settings: Settings) -> str:
    """The JSON text of a cell: JSON and lists are text in a table."""
    if column.type in ("json", "users"):
        return f"to_json(to_json({column.stored})::VARCHAR)"
    return _value(column, settings)


def table_columns(columns: Iterable[TableColumn]) -> list[dict[str, str]]:
    """The descriptors of a table's columns."""
    return [{"name": column.label, "type": column.column.wire} for column in columns]
