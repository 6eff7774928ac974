"""Runs SQL in ClickHouse inside this process (chdb), whose packages are not our own's.

Reads `{"statements": [...]}` as JSON on stdin, prints one JSON list on stdout: for each statement
its rows, its text where it asks for a format of its own, or `{"error": ...}`.
"""

import json
import sys
import tempfile

from chdb import session


def main():
    statements = json.load(sys.stdin)["statements"]
    with tempfile.TemporaryDirectory() as folder:
        engine = session.Session(folder)
        answers = [answer(engine, statement) for statement in statements]
        engine.close()
    json.dump(answers, sys.stdout)


def answer(engine, statement):
    """The rows of one statement, or what it failed with."""
    formatted = " FORMAT " in statement
    try:
        text = str(engine.query(statement, "TabSeparated" if formatted else "JSONCompact"))
    except Exception as error:  # noqa: BLE001  # whatever it raises is the answer
        return {"error": str(error)}
    if formatted or not text:
        return text
    return json.loads(text)["data"]


if __name__ == "__main__":
    main()
