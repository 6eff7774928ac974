"""What a spec file and the options of a command state together: one document, whose keys are the options' names.

    # nightly.yaml
    query: {object_type: pipeline, where: [{status: failure}]}
    days: 7
    table: failed_runs
    duckdb: /data/vectorshift.duckdb

`vectorshift-orchestration export --spec nightly.yaml --days 1` is the same with one day. A query, an
aggregation and a rule are what `QuerySpec`, `AggregationSpec` and `rule_from_dict` read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import QuerySpec
from vectorshift_orchestration.specs.documents import opened

QUERY = ("query", "account", "base_url")
WINDOW = ("start", "end", "day", "days", "timezone")
DATABASE = ("duckdb", "postgres")
LANDING = (*DATABASE, "source", "replace_other", "replace_characters")
_SCOPE = ("object_id", "object_type", "kinds", "where")

_CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|=|>|<|~)\s*(.*?)\s*", re.S)
_OPERATORS = {"=": "eq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "matches"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SECRETS = ("api_key", "key", "token", "password")


def merged(
    noun: str, keys: Sequence[str], file: Path | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    """What the spec file says, with what the options say in its place.

    `values` are a command's `locals()`, of which the options named in `keys` count; those that were not given
    are None or empty. Options about events narrow the file's query, and settings of the account are added to its
    own. Raises `SpecError` for a file that cannot be read, and an unknown key, with the nearest known one.
    """
    document = {} if file is None else _read(file, noun, keys)
    if "account" in keys:
        document["account"] = {
            **(document.get("account") or {}),
            **_settings(values.get("account") or []),
        }
    query = dict(_mapping(document.get("query"), "query"))
    for name in _SCOPE:
        if (value := values.get(name)) not in (None, []):
            query[name] = (
                [*query.get("where", []), *map(condition, value)] if name == "where" else value
            )
    others = {
        name: value
        for name, value in values.items()
        if name in keys and name not in ("query", "account") and value not in (None, [], {})
    }
    return document | others | ({"query": query} if query else {})


def query_of(document: Mapping[str, Any]) -> QuerySpec:
    """Which events. Raises `SpecError` for what no query can say."""
    return QuerySpec.from_dict(document.get("query", {}))


def condition(text: str) -> dict[str, Any]:
    """A condition of the command line, `status=failure` or `latency>=1000`, as a spec states it.

    `~` matches a pattern, and `field=[a, b]` is one of several.
    """
    result = _CONDITION.fullmatch(text)
    if result is None:
        raise SpecError(
            f"{text!r} is not a condition: write field, operator and value, such as status=failure, "
            "latency>=1000, error_message~quota or 'project_id=[a, b]'."
        )
    field, sign, value = result.groups()
    word = _OPERATORS[sign]
    if word == "eq" and value.startswith("[") and value.endswith("]"):
        return {field: {"in": [each.strip() for each in value[1:-1].split(",")]}}
    if word != "matches" and word != "eq" and _NUMBER.fullmatch(value):
        return {field: {word: float(value) if "." in value else int(value)}}
    return {field: value if word == "eq" else {word: value}}


def _settings(pairs: Sequence[str]) -> dict[str, str]:
    result = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise SpecError(f"{pair!r} is not a setting: write name=value, such as retries=2.")
        result[name] = value
    return result


def _read(file: Path, noun: str, keys: Sequence[str]) -> dict[str, Any]:
    try:
        result = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SpecError(f"{file} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise SpecError(f"{file} is not text in UTF-8.") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark is not None else ""
        message = getattr(problem, "problem", None) or "it cannot be parsed"
        raise SpecError(f"{file} is not YAML{place}: {message}.") from None
    document = _mapping(result, str(file))
    for name in _SECRETS:
        if name in {**document, **_mapping(document.get("account"), "account")}:
            raise SpecError(
                f"{file} holds {name}: keys come from the environment variable VECTORSHIFT_API_KEY or a "
                "prompt, never from a file. Take it out, and change the key if others can read it."
            )
    return opened(document, keys, f"{noun} ({file})")


def _mapping(value: Any, noun: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SpecError(f"{noun} is described by keys and values, not by {value!r}.")
    return value
