"""Everything that a running Airflow has written, to be searched for what should not be in it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
from cryptography.fernet import Fernet, InvalidToken
from psycopg import sql

from tests.airflow_live.stack import Stack

SIGNATURE = re.compile(r"signature(=|%3D|\\u003d)[0-9A-Za-z_-]{8}", re.IGNORECASE)
"""What is secret in the signed address of a file."""
_ENCRYPTED = re.compile(r"gAAAA[0-9A-Za-z_=-]{20,}")
_BYTES = re.compile(r"\\x([0-9a-f]{2,})")


def forms_of(secret: str) -> re.Pattern[str]:
    """A text as it is, in a URL, and in base64 wherever it begins there."""
    shifted = (b64encode(b"\0" * shift + secret.encode()).decode() for shift in range(3))
    inside = (text.rstrip("=")[4:-2] for text in shifted)
    return re.compile("|".join(map(re.escape, {secret, quote(secret, safe=""), *inside})))


def sinks(stack: Stack) -> dict[str, str]:
    """Each log and each table of the metadata database, by name, as text.

    What Airflow has encrypted is there in clear as well: its key lies beside it.
    """
    result = {f"log of the {name}": each.log.read_text() for name, each in stack.components.items()}
    result["task logs"] = "\n".join(
        path.read_text(errors="replace")
        for path in (stack.home / "logs").rglob("*")
        if path.is_file()
    )
    return result | {f"table {name}": _opened(stack, text) for name, text in _tables(stack)}


def found_in(secret: re.Pattern[str], where: dict[str, str]) -> set[str]:
    """The sinks in which a secret is."""
    return {name for name, text in where.items() if secret.search(text)}


def _tables(stack: Stack) -> Iterator[tuple[str, str]]:
    with psycopg.connect(stack.database) as connection:
        listed = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        for (name,) in connection.execute(listed).fetchall():
            rows = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            yield name, "\n".join(row for (row,) in connection.execute(rows).fetchall())


def _opened(stack: Stack, text: str) -> str:
    """The text, and after it what is encrypted or kept as bytes in it."""
    key = Fernet(stack.env["AIRFLOW__CORE__FERNET_KEY"])
    opened = [text]
    for token in _ENCRYPTED.findall(text):
        try:
            opened.append(key.decrypt(token.encode()).decode(errors="replace"))
        except InvalidToken:  # it only looks like one
            continue
    for digits in _BYTES.findall(text):
        opened.append(bytes.fromhex(digits[: len(digits) // 2 * 2]).decode(errors="replace"))
    return "\n".join(opened)
