"""The body of a response: its JSON, and the message of an error. Source: docs/contract.md A5, A6."""

from typing import Any

from vectorshift.errors import redact


def decode(body: bytes) -> Any:
    """Parse a JSON body strictly; ValueError for anything else, an object missing included."""
    import msgspec

    if not body.strip():
        raise ValueError("it is empty")
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(data, dict):
        raise ValueError(f"it is a JSON {type(data).__name__}, not an object")
    return data


def error_message(body: bytes, key: str) -> tuple[str, str]:
    """Return what an error body says, and its start for debugging; both without secrets. Source: docs/contract.md A6."""
    import msgspec

    raw = redact(body[:4000].decode("utf-8", "replace"), key)
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return " ".join(raw[:300].split()), raw
    if not isinstance(data, dict):
        return " ".join(raw[:300].split()), raw
    for name in ("error", "message", "detail", "errors"):
        message = data.get(name)
        if isinstance(message, dict):
            message = message.get("message") or message
        if isinstance(message, list):
            message = "; ".join(map(str, message))
        if message:
            return redact(str(message), key), raw
    return " ".join(raw[:300].split()), raw
