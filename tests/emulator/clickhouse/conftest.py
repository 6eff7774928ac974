"""Real ClickHouse beside an emulator that holds the same events."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.locked_environment import ROOT, locked_python

INTERPRETER = Path(__file__).with_name("interpreter.py")

ALWAYS = {"span_id": "String", "start_time": "DateTime64(3, 'UTC')"}
MAYBE = {"error_message": "String", "user_id": "String", "latency": "Float64", "tokens": "Int64"}


def created(table, form):
    """The statement that makes a table of events; `form` is how a column that may be absent is declared."""
    columns = {**ALWAYS, **{name: form.format(type_) for name, type_ in MAYBE.items()}}
    declared = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    return f"CREATE TABLE {table} ({declared}) ENGINE = MergeTree ORDER BY span_id"


@pytest.fixture(scope="session")
def clickhouse():
    """A function that runs statements in a new ClickHouse and returns the answer to each."""
    python = locked_python(ROOT / "requirements" / "clickhouse.txt")

    def ask(*statements):
        told = subprocess.run(
            [python, INTERPRETER],
            input=json.dumps({"statements": statements}),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(told.stdout)

    return ask


@pytest.fixture
def beside(clickhouse, blank):
    """A function that gives both the same rows, and returns ClickHouse's answers to statements.

    Table `events` has Nullable columns, table `defaults` none.
    """

    def ask(rows, *statements):
        blank.insert(rows)
        lines = "\n".join(
            json.dumps({name: row[name] for name in (*ALWAYS, *MAYBE) if name in row})
            for row in rows
        )
        making = ["SET date_time_input_format = 'best_effort'"]
        for table, form in (("events", "Nullable({})"), ("defaults", "{}")):
            making += [
                created(table, form),
                f"INSERT INTO {table} FORMAT JSONEachRow\n{lines}",
            ]
        answers = clickhouse(*making, *statements)
        assert answers[: len(making)] == [""] * len(making)
        return answers[len(making) :]

    return ask
