"""The arguments that say what is too much, the same for sensors and triggers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import as_json, is_literal
from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from vectorshift_orchestration import Rule


def rule_document(
    rule: "Rule | Mapping[str, Any] | str | None", threshold: Any
) -> dict[str, Any] | str:
    """The JSON form of a rule, or of `threshold` failed runs being the most that is all right.

    Raises `SpecError` unless exactly one of them is given. A document is not checked here, and a
    template is returned as it is.
    """
    if (rule is None) == (threshold is None):
        raise SpecError(
            "give either rule= or threshold=, the failed runs that are still all right."
        )
    if rule is None:
        return {"rule": "absolute", "metric": "errors.sum", "error": threshold}
    document = as_json(rule)
    if isinstance(document, str) and not is_literal(document):
        return document
    if not isinstance(document, Mapping):
        raise SpecError(f"rule= is a rule or its JSON form, not {rule!r}.")
    return dict(document)
