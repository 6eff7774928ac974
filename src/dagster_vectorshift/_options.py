"""What factories are told besides: only names that they know, and what describes their assets."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, TypedDict

import dagster as dg

from vectorshift_orchestration.specs.documents import nearest


class Described(TypedDict, total=False):
    """How the assets of a factory appear, besides what the translator says."""

    key_prefix: str | Sequence[str]
    group_name: str | None
    owners: Sequence[str]
    tags: Mapping[str, str]
    kinds: Set[str]
    automation_condition: dg.AutomationCondition[Any] | None
    freshness_policy: dg.FreshnessPolicy | None


def require_known(options: Mapping[str, Any], known: type, noun: str) -> None:
    """Raise `TypeError` for an option that nobody would read; a `TypedDict` refuses none at run time."""
    names = ["partitions_def", *known.__annotations__]
    for name in options:
        if name not in names:
            raise TypeError(f"{noun} has no option {name!r}. {nearest(name, names)}")


def require_several(value: object, name: str) -> None:
    """Raise `dg.DagsterInvalidDefinitionError` for one thing where a list is due: a text is one of letters."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise dg.DagsterInvalidDefinitionError(f"{name} is a list: write {name}=[{value!r}].")


def described(spec: dg.AssetSpec, options: Described) -> dg.AssetSpec:
    """The translator's spec with what the factory was told besides.

    Raises `dg.DagsterInvalidDefinitionError` for owners or kinds that are no list.
    """
    owners, kinds = options.get("owners", ()), options.get("kinds", ())
    require_several(owners, "owners")
    require_several(kinds, "kinds")
    spec = spec.merge_attributes(
        owners=list(owners), tags=dict(options.get("tags", {})), kinds=set(kinds)
    )
    return spec.replace_attributes(
        key=spec.key.with_prefix(parts(options.get("key_prefix", ()))),
        group_name=options.get("group_name") or spec.group_name,
        automation_condition=options.get("automation_condition") or spec.automation_condition,
        freshness_policy=options.get("freshness_policy") or spec.freshness_policy,
    )


def parts(key_prefix: str | Sequence[str]) -> list[str]:
    """A prefix as the parts of a key."""
    return [key_prefix] if isinstance(key_prefix, str) else list(key_prefix)
