"""How a client's answer and the rows of the truth are read into values that must be equal."""

from collections.abc import Iterable
from typing import Any

Rows = list[dict[str, Any]]


def count(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """An EventCount and one number."""
    return answer["count"], rows[0]["n"]


def number(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """A scalar; nothing to aggregate is 0."""
    return close(answer), close(rows[0]["n"] or 0)


def labelled(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """A flat dict of a group-by, rows (label, n)."""
    return (
        {label: close(value) for label, value in answer.items()},
        {row["label"]: close(row["n"]) for row in rows},
    )


def nested(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """Leaves of an AggregationResult under their labels, rows (op, first, second?, n)."""
    leaves = dict(_leaves((), answer["buckets"]))
    return leaves, {tuple(list(row.values())[:-1]): close(row["n"]) for row in rows}


def _leaves(path: tuple[str, ...], buckets: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    for bucket in buckets:
        here = (*path, bucket["label"])
        if bucket.get("nested"):
            yield from _leaves(here, bucket["nested"])
        else:
            yield here, close(bucket["value"])


def totals(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """The value of each operation, rows of one column per operation label."""
    return (
        {bucket["label"]: close(bucket["value"]) for bucket in answer["buckets"]},
        {label: close(value) for label, value in rows[0].items()},
    )


# The reference page's names of what the wire calls otherwise.
PAGE_NAMES = {
    "spanId": "span_id",
    "traceId": "trace_id",
    "spanKind": "span_kind",
    "startTime": "span_start_time",
    "statusMessage": "error_message",
    "modelId": "model_id",
}


def field(told: dict[str, Any], name: str) -> Any:
    """A field of an event under its wire name or the page's."""
    return told.get(name, told.get(PAGE_NAMES.get(name, name)))


def page(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """Events in order, by the columns that the SELECT names."""
    names = list(rows[0]) if rows else []
    return [{name: field(each, name) for name in names} for each in answer["events"]], rows


def traces(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """Traces of one page of events, in the order in which they first appear."""
    grouped: dict[str, list[str]] = {}
    for row in rows:
        grouped.setdefault(row["traceId"], []).append(row["spanId"])
    reported = {
        trace["trace_id"]: [field(e, "spanId") for e in trace["events"]] for trace in answer
    }
    return list(reported.items()), list(grouped.items())


def event(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """One event, by the columns that the SELECT names."""
    return {name: field(answer, name) for name in rows[0]}, rows[0]


def table(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """The rows of a table, and its total when the SELECT has one."""
    total = [row.pop("total") for row in rows if "total" in row]
    reported = ([row["values"] for row in answer["rows"]], answer.get("total_records"))
    return reported, (rows, total[0] if total else None)


def dialogue(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """Run data that is a conversation, rows (key, user, assistant) from the oldest run on."""
    ((key, detail),) = answer.items()
    turns = [
        {"role": role, "text": row[role]}
        for row in rows
        for role in ("user", "assistant")
        if row[role] is not None
    ]
    return (key, detail.get("messages", detail.get("transcript"))), (rows[0]["key"], turns)


def submission(answer: Any, rows: Rows) -> tuple[Any, Any]:
    """Run data of a form, rows (input, output)."""
    return {name: answer["form"].get(name) for name in rows[0]}, rows[0]


def close(value: Any) -> Any:
    """A number to twelve digits: sums of floats differ in the last ones."""
    return float(f"{float(value):.12g}")
