"""How the service holds and prints the value of a column, as SQL expressions."""

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api.columns import Column
from vectorshift_emulator.api.requests import TableColumn
from vectorshift_emulator.exports.files import Extension

DIGITS = {"ms": 3, "us": 6, "ns": 9}
"""Digits of a second that a clock has."""

_DEFAULTS = {"text": "''", "number": "0", "time": "TIMESTAMP '1970-01-01'"}
"""What a column that cannot be null holds in place of a missing value."""


def expression(column: Column, settings: Settings) -> str:
    """The stored value; with switch `absent`, a missing one is its type's default."""
    if settings.absent == "null" or column.type not in _DEFAULTS:
        return column.stored
    return f"coalesce({column.stored}, {_DEFAULTS[column.type]})"


def instant(column: Column, settings: Settings) -> str:
    """RFC3339 text, `Z`, as many digits as the clock has and the time needs; null stays null."""
    value = expression(column, settings)
    return f"(strftime({value}, '%Y-%m-%dT%H:%M:%S') || {_fraction(column, settings)} || 'Z')"


def _fraction(column: Column, settings: Settings) -> str:
    """The point and the digits of a second; nothing where none are needed."""
    clock, least = DIGITS[settings.clock], settings.time_digits
    value = expression(column, settings)
    if clock == least == 3:
        return f"strftime({value}, '.%g')"
    beyond = "printf('%03d', start_ns)" if column.stored == "start_time" else "'000'"
    digits = f"rpad(substr(strftime({value}, '%f') || {beyond}, 1, {clock}), 9, '0')"
    shorter = [length for length in (0, 3, 6) if least <= length < clock]
    cases = " ".join(
        f"WHEN substr({digits}, {length + 1}) = '{'0' * (9 - length)}' THEN {_cut(digits, length)}"
        for length in shorter
    )
    full = _cut(digits, max(clock, least))
    return f"CASE {cases} ELSE {full} END" if cases else full


def _cut(digits: str, length: int) -> str:
    return f"'.' || substr({digits}, 1, {length})" if length else "''"


def in_file(column: TableColumn, extension: Extension, settings: Settings) -> str:
    """A column of an export under its label: status in the files' case, times as text.

    Only a workbook with times of its own gets them as they are.
    """
    of = column.column
    if of.type == "status" and settings.file_status == "upper":
        value = f"upper({of.stored})"
    elif of.type == "time" and not (extension == "XLSX" and settings.xlsx_times == "native"):
        value = instant(of, settings)
    else:
        value = expression(of, settings)
    return f"{value} AS {quoted(column.label)}"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
