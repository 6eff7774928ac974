"""The JSON columns of an event as text: one spelling, whichever way a page or a file wrote them.

Compact, unescaped, the keys in their order, and each number as the shortest decimal of its double,
whole ones without a fraction; integers stay exact. Beside JSON the literals of ClickHouse are read
(`['a','b']`, `{'k':'v'}`). What Go's `fmt` prints (`[a b]`, `map[k:v]`) does not show where a value
ends, so it is refused, but for an empty map.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

JSON_COLUMNS = ("object_info", "interface_data", "session_users", "span_attributes")

_WHOLE_FLOATS = 1e21
"""From here on, Go and JavaScript write whole numbers with an exponent too."""

_TOKEN = re.compile(
    r"\s*(?:'((?:[^'\\]|\\.)*)'|([\[\]{},:])|(NULL|true|false|-?\d+(?:\.\d*)?(?:e[+-]?\d+)?)"
    r"(?![\w.]))",
    re.DOTALL,
)
_WORDS = {"NULL": None, "true": True, "false": False}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DEEP = 100
_GO = re.compile(r"(?:map\[|\[|&?\{|&\[|<nil>|0x[0-9a-f]{6,}$)")

_RESPELLED = re.compile(rb"\d(?:\.0[,}\]]|e\d)")
"""What may be a whole number with a fraction or an exponent; in texts it may be anything."""


def _number(text: str) -> float | int:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("out of range")
    return int(value) if value.is_integer() and abs(value) < _WHOLE_FLOATS else value


_decode = msgspec.json.Decoder().decode
_decode_whole = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder().encode


class NotJson(ValueError):
    """A text of a JSON column that cannot be read; the message says what it is."""


def json_text(value: Any) -> str | None:
    """A value of a JSON column in its one spelling; null, "null" and an empty text are None.

    A text that holds no structure stays as it is. Raises `NotJson`.
    """
    if value is None or value == "":
        return None
    return _spelled(value) if isinstance(value, str) else _encoded(value)


def _encoded(value: Any) -> str:
    encoded = _encode(value)
    if isinstance(value, float) or _RESPELLED.search(encoded):
        encoded = _encode(_decode_whole(encoded))
    return encoded.decode()


def _spelled(text: str) -> str | None:
    try:
        value = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        if not _GO.match(text):
            return text
        value = _literal(text)
    if isinstance(value, str):
        return value or None
    return None if value is None else _encoded(value)


def _literal(text: str) -> Any:
    """A structure that is not JSON."""
    if text == "map[]":
        return {}
    if text.startswith(("['", "{'", "[[", "[{", "[NULL")) or text in ("[]", "{}"):
        try:
            return _Literal(text).parsed()
        except ValueError:
            raise NotJson("is neither JSON nor a literal of ClickHouse") from None
    if text.startswith(('["', '{"', "[{", "[[")):
        raise NotJson("is JSON that is cut or damaged")
    raise NotJson("is what Go's fmt prints, which does not show where a value ends")


class _Literal:
    """A literal of ClickHouse: arrays and maps of texts in single quotes, numbers and NULL."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, Any]] = []
        place, text = 0, text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise ValueError
            quoted, mark, token = match.groups()
            if quoted is not None:
                self._tokens.append(("value", _ESCAPED.sub(_unescaped, quoted)))
            elif mark:
                self._tokens.append((mark, None))
            else:
                value = _WORDS[token] if token in _WORDS else _decode(token)
                self._tokens.append(("value", value))
            place = match.end()
        self._tokens.reverse()

    def parsed(self) -> Any:
        value = self._value(0)
        if self._tokens:
            raise ValueError
        return value

    def _take(self) -> tuple[str, Any]:
        if not self._tokens:
            raise ValueError
        return self._tokens.pop()

    def _value(self, depth: int) -> Any:
        kind, value = self._take()
        if kind == "value":
            return value
        if depth == _DEEP or kind not in ("[", "{"):
            raise ValueError
        end = "]" if kind == "[" else "}"
        items: list[Any] = []
        if self._tokens and self._tokens[-1][0] == end:
            self._take()
            return items if kind == "[" else {}
        while True:
            item = self._value(depth + 1)
            if kind == "{":
                if self._take()[0] != ":" or isinstance(item, list | dict):
                    raise ValueError
                name = item if isinstance(item, str) else _encoded(item)
                item = (name, self._value(depth + 1))
            items.append(item)
            mark = self._take()[0]
            if mark == end:
                return items if kind == "[" else dict(items)
            if mark != ",":
                raise ValueError


def _unescaped(match: re.Match[str]) -> str:
    letter = match[1]
    if letter in "xXuU":
        raise ValueError
    return _ESCAPES.get(letter, letter)
