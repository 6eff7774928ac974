"""The truth about table `events`, straight from the database, for tests to compare with."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb


class BadQuery(ValueError):
    """An SQL text that is not one working SELECT; the text says why."""


def rows(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """The rows of one SELECT as JSON objects.

    Times are RFC3339 with `Z`, milliseconds, microseconds where there are some; JSON columns are
    decoded.

    Raises:
        BadQuery: `sql` is not exactly one SELECT statement, or fails.
    """
    try:
        statements = cursor.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BadQuery("truth takes exactly one SELECT")
        cursor.execute(statements[0])
        description = cursor.description or []
        rows_found = cursor.fetchall()
    except duckdb.Error as error:
        raise BadQuery(str(error)) from None
    return [
        {
            name: json.loads(value) if str(type_) == "JSON" and value else _plain(value)
            for (name, type_, *_), value in zip(description, row, strict=True)
        }
        for row in rows_found
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").removesuffix("000") + "Z"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
