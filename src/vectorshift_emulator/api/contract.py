"""The service's request JSON: bodies in, the values of `requests.py` out, the rest refused.

Source: docs/contract.md A3, A4, A7, read independently of the SDK. Every function raises
`InvalidRequest` (protojson.py) for a body that the service would not understand.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vectorshift_emulator.api import columns, protojson
from vectorshift_emulator.api.columns import Column
from vectorshift_emulator.api.protojson import refuse
from vectorshift_emulator.api.requests import (
    Aggregation,
    Aggregator,
    AnyOf,
    Comparison,
    Conditions,
    Export,
    Filter,
    Kind,
    Matches,
    Operand,
    Operation,
    Page,
    RunData,
    Search,
    Table,
    TableColumn,
)
from vectorshift_emulator.exports.files import Extension

KINDS: Mapping[str, tuple[str, ...]] = {
    "pipeline": ("all", "run", "bulk_run"),
    "chatbot": ("all", "run", "file_upload", "terminate", "message_like", "fetch_kb_data"),
    "search": (
        "all",
        "run",
        "chat_with_docs",
        "doc_qna",
        "message_feedback",
        "terminate",
        "fetch_kb_data",
    ),
    "form": ("all", "run", "chat"),
    "voicebot": ("all", "run"),
    "bulkjob": ("run", "fetch_kb_data", "io_nodes"),
    "session": ("all", "create", "add_message"),
    "portal": ("create",),
}
"""The variants of each entity's span kinds (docs/contract.md A7)."""

FIELDS = (
    "RUNS",
    "TOKENS",
    "MODEL_COSTS",
    "LATENCY",
    "AI_CREDITS",
    "ERRORS",
    "NODE_LATENCY",
    "FEEDBACK",
    "USERS",
    "START_TIME",
    "END_TIME",
    "CREATE",
    "ADD_MESSAGE",
)
DIMENSIONS = ("TIME", "MODEL_ID", "PIPELINE_ID", "FEEDBACK_TYPE", "SEARCH_TYPE", "NODE_TYPE")
INTERVALS = ("HOUR", "DAY", "WEEK", "MONTH", "YEAR")
OPERATIONS = {
    "EQUALS": "=",
    "LESS_THAN": "<",
    "LESS_THAN_EQUALS": "<=",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUALS": ">=",
    "MATCHES": "MATCHES",
}
"""The operations of a basic filter; those that compare with their SQL."""

OBJECT_TYPES = (*KINDS, "agent")
DEFAULT_PAGE_SIZE = 50


class Parser:
    """Reads request bodies; `strict` refuses unknown fields, otherwise they are dropped."""

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = strict

    def count(self, body: bytes) -> Conditions:
        """The body of POST /analytics/events/count."""
        return self._conditions(self._fields(protojson.parse(body), *_FILTERS, *_TIMES))

    def search(self, body: bytes) -> Search:
        """The body of POST /analytics/events/search."""
        fields = self._fields(protojson.parse(body), *_FILTERS, *_TIMES, "pagination_config")
        return Search(self._conditions(fields), self._page(fields.get("pagination_config", {})))

    def aggregation(self, body: bytes) -> Aggregation:
        """The body of POST /analytics/aggregations."""
        fields = self._fields(
            protojson.parse(body),
            *("span_type", "filters", *_TIMES, "aggregation_operations", "slice_unit"),
        )
        operations = protojson.repeated(
            protojson.required(fields, "aggregation_operations"),
            "aggregation_operations",
            self._operation,
        )
        dimensions, interval = self._slices(protojson.required(fields, "slice_unit"))
        if not operations:
            raise refuse("aggregation_operations is empty")
        return Aggregation(self._conditions(fields), operations, dimensions, interval)

    def table(self, body: bytes) -> Table:
        """The body of POST /analytics/tables."""
        return self._table(protojson.parse(body))

    def export(self, body: bytes) -> Export:
        """The body of POST /analytics/exports."""
        fields = self._fields(protojson.parse(body), "data_table", "extension", "file_name")
        table = self._table(protojson.required(fields, "data_table"))
        labels = [column.label for column in table.columns]
        if len(set(labels)) != len(labels):
            raise refuse("an export needs a column_label of its own for every column")
        file_name = protojson.string(protojson.required(fields, "file_name"), "file_name")
        if not file_name or "/" in file_name or not file_name.isprintable():
            raise refuse("file_name must be a plain file name")
        extension = protojson.required(fields, "extension")
        return Export(
            table,
            protojson.enum(extension, "extension", _EXTENSIONS),
            file_name,
        )

    def run_data(self, body: bytes) -> RunData:
        """The body of POST /analytics/run-data."""
        fields = self._fields(protojson.parse(body), "interface", "run_identifier")
        interface = self._fields(
            protojson.required(fields, "interface"), "object_id", "object_type"
        )
        object_type = protojson.string(protojson.required(interface, "object_type"), "object_type")
        if object_type.lower() not in OBJECT_TYPES:
            raise refuse(f'invalid value for enum field object_type: "{object_type}"')
        return RunData(
            protojson.string(protojson.required(interface, "object_id"), "object_id"),
            object_type.lower(),
            protojson.string(protojson.required(fields, "run_identifier"), "run_identifier"),
        )

    def _fields(self, raw: Any, *names: str) -> dict[str, Any]:
        return protojson.fields(raw, names, strict=self._strict)

    def _one(self, raw: Any, oneof: str, *names: str) -> tuple[str, Any]:
        return protojson.only_one(raw, names, oneof, strict=self._strict)

    def _conditions(self, fields: Mapping[str, Any]) -> Conditions:
        scopes = protojson.repeated(fields.get("filters", []), "filters", self._scope_filter)
        data = protojson.repeated(
            fields.get("table_filters", []), "table_filters", self._table_filter
        )
        return Conditions(
            kinds=protojson.repeated(fields.get("span_type", []), "span_type", self._kind),
            pinned=tuple(scope for scope in scopes if _pins_object(scope)),
            filters=(*(scope for scope in scopes if not _pins_object(scope)), *data),
            any_of=protojson.enum(fields.get("operator", "AND"), "operator", _JOINS),
            start=_optional_time(fields, "start_time"),
            end=_optional_time(fields, "end_time"),
        )

    def _kind(self, raw: Any) -> Kind:
        entity, value = self._one(raw, "span_type", *KINDS)
        return protojson.enum(value, entity, _kinds_of(entity))

    def _scope_filter(self, raw: Any) -> Filter:
        fields = self._fields(raw, "column_name", "value", "operator")
        column = protojson.enum(fields.get("column_name"), "column_name", columns.SCOPE)
        value = self._text(protojson.required(fields, "value"), column)
        is_in = protojson.enum(fields.get("operator"), "operator", _SCOPE_OPERATORS)
        return AnyOf(column, tuple(value.split(","))) if is_in else Comparison(column, "=", value)

    def _table_filter(self, raw: Any) -> Filter:
        shape, value = self._one(raw, "filter", "basic_op", "compound_op")
        return self._basic(value) if shape == "basic_op" else self._compound(value)

    def _basic(self, raw: Any) -> Filter:
        fields = self._fields(raw, "column", "value", "operation")
        column = protojson.enum(fields.get("column"), "column", columns.DATA)
        value = protojson.required(fields, "value")
        operator = protojson.enum(fields.get("operation"), "operation", OPERATIONS)
        if operator == "MATCHES":
            if column.type == "time":
                raise refuse(f"operation MATCHES needs a text column, not {column.wire}")
            return Matches(column, self._text(value, column))
        if column.type == "users" and operator != "=":
            raise refuse(f"operation {operator} needs a column of one value, not {column.wire}")
        return Comparison(column, operator, self._operand(value, column))

    def _compound(self, raw: Any) -> Filter:
        fields = self._fields(raw, "column", "values", "operation")
        column = protojson.enum(fields.get("column"), "column", columns.DATA)
        protojson.enum(fields.get("operation"), "operation", {"INCLUDES": True})
        values = protojson.repeated(
            fields.get("values", []), "values", lambda value: self._operand(value, column)
        )
        return AnyOf(column, values)

    def _operand(self, raw: Any, column: Column) -> Operand:
        """A typed value for `column`: an instant for a time column, a text for the others."""
        if column.type != "time":
            return self._text(raw, column)
        oneof, value = self._one(raw, "value", *_VALUES)
        if oneof not in ("timestamp", "string_value"):
            raise refuse(f"column {column.wire} needs a timestamp, not {oneof}")
        return protojson.timestamp(value, oneof)

    def _text(self, raw: Any, column: Column) -> str:
        oneof, value = self._one(raw, "value", *_VALUES)
        read = _VALUES[oneof](value, oneof)
        if not isinstance(read, str):
            raise refuse(f"column {column.wire} needs a string_value, not {oneof}")
        return read

    def _page(self, raw: Any) -> Page:
        fields = self._fields(raw, "results_per_page", "page_number", "offset")
        size, number, offset = (
            protojson.integer(fields.get(name, 0), name)
            for name in ("results_per_page", "page_number", "offset")
        )
        if min(size, number, offset) < 0:
            raise refuse("pagination_config takes no negative numbers")
        # Zero is how proto3 spells "unset".
        return Page(size or DEFAULT_PAGE_SIZE, number or 1, offset)

    def _operation(self, raw: Any) -> Operation:
        fields = self._fields(raw, "field", "operator")
        field = protojson.enum(fields.get("field"), "field", _same(FIELDS))
        operator = protojson.required(fields, "operator")
        name, options = self._one(operator, "operator", *_AGGREGATORS)
        aggregator = _AGGREGATORS[name]
        if field == "USERS" and aggregator is not Aggregator.COUNT_DISTINCT:
            raise refuse(f"field USERS takes count_distinct only, not {aggregator}")
        if aggregator is not Aggregator.PERCENTILE:
            self._fields(options)
            return Operation(field, aggregator)
        percent = protojson.integer(
            self._fields(options, "percentile").get("percentile", 0), "percentile"
        )
        if not 0 <= percent <= 100:
            raise refuse(f"percentile {percent} is not between 0 and 100")
        return Operation(field, aggregator, percent)

    def _slices(self, raw: Any) -> tuple[tuple[str, ...], str | None]:
        fields = self._fields(raw, "slice_units", "interval")
        dimensions = protojson.repeated(
            fields.get("slice_units", []),
            "slice_units",
            lambda unit: protojson.enum(unit, "slice_units", _same(DIMENSIONS)),
        )
        if not dimensions:
            raise refuse("slice_units is empty")
        if "interval" in fields:
            return dimensions, protojson.enum(fields["interval"], "interval", _same(INTERVALS))
        if "TIME" in dimensions:
            raise refuse("slice unit TIME needs an interval")
        return dimensions, None

    def _table(self, raw: Any) -> Table:
        flags = ("include_interface_data", "return_record_count")
        fields = self._fields(raw, *_FILTERS, "columns", "pagination_config", *flags)
        interface_data, record_count = (
            protojson.boolean(fields.get(flag, False), flag) for flag in flags
        )
        selected = protojson.repeated(fields.get("columns", []), "columns", self._column)
        return Table(
            self._conditions(fields),
            selected or tuple(TableColumn(column.name, column) for column in columns.EVERY),
            self._page(fields.get("pagination_config", {})),
            interface_data,
            record_count,
        )

    def _column(self, raw: Any) -> TableColumn:
        fields = self._fields(raw, "column_label", "column_type")
        column = protojson.enum(fields.get("column_type"), "column_type", columns.TABLE)
        return TableColumn(
            protojson.string(fields.get("column_label", column.name), "column_label"), column
        )


def kinds_of(text: str) -> tuple[Kind, ...]:
    """The kinds of a trace's comma list: `pipeline,chatbot.run` (docs/contract.md A4).

    Raises:
        InvalidRequest: a name is neither an entity nor a kind.
    """
    kinds = {
        **{entity: Kind(entity, "all") for entity in KINDS},
        **{
            f"{entity}.{variant}": Kind(entity, variant)
            for entity, variants in KINDS.items()
            for variant in variants
        },
    }
    return tuple(protojson.enum(name, "kinds", kinds) for name in text.split(",") if name)


_FILTERS = ("span_type", "filters", "table_filters", "operator")
_TIMES = ("start_time", "end_time")
_JOINS = {"AND": False, "OR": True}
_SCOPE_OPERATORS = {"OPERATOR_EQUAL": False, "OPERATOR_IN": True}
_VALUES = {
    "bool_value": protojson.boolean,
    "int_value": protojson.integer,
    "float_value": protojson.number,
    "timestamp": protojson.timestamp,
    "string_value": protojson.string,
}
_EXTENSIONS: Mapping[str, Extension] = {"CSV": "CSV", "JSON": "JSON", "XLSX": "XLSX"}
_AGGREGATORS = {aggregator.value: aggregator for aggregator in Aggregator}


def _same(names: tuple[str, ...]) -> dict[str, str]:
    return {name: name for name in names}


def _kinds_of(entity: str) -> dict[str, Kind]:
    return {f"{entity}_{variant}".upper(): Kind(entity, variant) for variant in KINDS[entity]}


def _pins_object(scope: Filter) -> bool:
    return isinstance(scope, Comparison) and scope.column.wire == "ObjectId"


def _optional_time(fields: Mapping[str, Any], name: str) -> datetime | None:
    return protojson.timestamp(fields[name], name) if name in fields else None
