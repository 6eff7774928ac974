"""What factories may be told: the options of a kind of asset stand in one frozen dataclass.

Its fields are the arguments of the factory, the keys of the YAML and the defaults of both.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import dagster as dg

from dagster_vectorshift._documents import (
    BACKFILL,
    EVENTS,
    PARTITIONS,
    RETRIES,
    TEXT,
    Document,
    OptionalText,
    Text,
    Texts,
    text,
)
from dagster_vectorshift._partitions import require_time
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.translator import (
    DagsterVectorShiftTranslator,
    ExportProps,
    HealthTableProps,
)
from vectorshift_orchestration.specs.documents import nearest

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.landing import Landing

_ACCOUNT, _STORAGE = "vectorshift", "storage"

KINDS = dg.Resolver(text, model_field_type=Sequence[str], inject_before_resolve=False)

_Arguments = ParamSpec("_Arguments")
_Options = TypeVar("_Options")
_Made = TypeVar("_Made")


def takes(
    options: Callable[_Arguments, _Options],
) -> Callable[[Callable[[_Options], _Made]], Callable[_Arguments, _Made]]:
    """Let a factory of an options object be called with the object's fields as arguments.

    Editors, type checkers and `help` see the fields with their defaults. An unknown name is a
    `TypeError` that says which one is meant.
    """
    signature = inspect.signature(options)

    def decorate(build: Callable[[_Options], _Made]) -> Callable[_Arguments, _Made]:
        @wraps(build)
        def factory(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Made:
            for name in kwargs:
                if name not in signature.parameters:
                    known = nearest(name, signature.parameters)
                    raise TypeError(f"{build.__name__} has no option {name!r}. {known}")
            return build(options(*args, **kwargs))

        vars(factory)["__signature__"] = signature
        return factory

    return decorate


@dataclass(frozen=True, kw_only=True)
class AssetOptions(Document):
    """What every factory of assets takes.

    partitions_def: windows of time.
    query: which events, without a time; None is every event of the account.
    key_prefix: parts of the asset keys before the name.
    group_name, owners, tags, kinds, automation_condition, freshness_policy: of every asset, besides
        what the translator says.
    backfill_policy: how many partitions a run may have.
    retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
    pool: the assets' pool; a limit of 1 keeps writers of one DuckDB file apart.
    resource_key: name of the `VectorShiftResource`.
    storage_key: name of the storage.
    source: a name that the rows of a database's tables bear in column `source_name`, so that assets
        share a table: only rows of that source are replaced.
    replace_other: replace partitions that hold the rows of another query or account, which is refused
        otherwise.
    replace_characters: write U+FFFD for each NUL, lone surrogate and byte that is not UTF-8, and tell
        how many, instead of refusing the rows.
    translator: names and describes the assets.
    """

    partitions_def: Annotated[dg.TimeWindowPartitionsDefinition, PARTITIONS]
    query: Annotated["Query | None", EVENTS] = None
    key_prefix: Annotated[str | Sequence[str], TEXT] = ()
    group_name: OptionalText = None
    owners: Texts = ()
    tags: Annotated[Mapping[str, str], TEXT] = field(default_factory=dict)
    kinds: Annotated[Set[str], KINDS] = frozenset()
    automation_condition: dg.Injected[dg.AutomationCondition[Any]] | None = None
    freshness_policy: dg.Injected[dg.FreshnessPolicy] | None = None
    backfill_policy: Annotated[dg.BackfillPolicy | None, BACKFILL] = None
    retry_policy: Annotated[dg.RetryPolicy | None, RETRIES] = None
    pool: OptionalText = VectorShiftResource.pool
    resource_key: Text = _ACCOUNT
    storage_key: Text = _STORAGE
    source: OptionalText = None
    replace_other: bool = False
    replace_characters: bool = False
    translator: dg.Injected[DagsterVectorShiftTranslator] | None = None

    def check(self, noun: str) -> None:
        """Raise `dg.DagsterInvalidDefinitionError`, which names the noun, for what all kinds refuse."""
        require_time(self.partitions_def, noun)
        require_several(self.owners, "owners")
        require_several(self.kinds, "kinds")

    @property
    def prefix(self) -> list[str]:
        """The prefix as the parts of a key."""
        return [self.key_prefix] if isinstance(self.key_prefix, str) else list(self.key_prefix)

    def named(self, given: str | None, name: str) -> str:
        """What is given, or the asset's prefix and name, as Dagster takes it for anything but assets."""
        return re.sub(r"\W", "_", given or "_".join([*self.prefix, name]), flags=re.ASCII)

    @property
    def account_name(self) -> str:
        """What tells the account from others in a table's ledger; the default resource's needs no name."""
        return "" if self.resource_key == _ACCOUNT else self.resource_key

    def placed(self, landing: "Landing") -> "Landing":
        """A storage's landing, as these assets use it."""
        return replace(
            landing,
            source=landing.source if self.source is None else self.source,
            replace_other=landing.replace_other or self.replace_other,
            replace_characters=landing.replace_characters or self.replace_characters,
        )

    def get_translator(self) -> DagsterVectorShiftTranslator:
        """How the assets are named and described; for components to override."""
        return self.translator or DagsterVectorShiftTranslator()

    def spec(self, props: HealthTableProps | ExportProps) -> dg.AssetSpec:
        """The translator's spec with what the factory was told besides."""
        spec = self.get_translator().get_asset_spec(props)
        spec = spec.merge_attributes(
            owners=list(self.owners), tags=dict(self.tags), kinds=set(self.kinds)
        )
        return spec.replace_attributes(
            key=spec.key.with_prefix(self.prefix),
            group_name=self.group_name or spec.group_name,
            automation_condition=self.automation_condition or spec.automation_condition,
            freshness_policy=self.freshness_policy or spec.freshness_policy,
        )


def require_several(value: object, name: str) -> None:
    """Raise `dg.DagsterInvalidDefinitionError` for one thing where a list is due: a text is one of letters."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise dg.DagsterInvalidDefinitionError(f"{name} is a list: write {name}=[{value!r}].")
