"""The options of the factories: one frozen dataclass for each kind of asset.

Its fields are the arguments of the factory, the keys of the YAML and the defaults of both.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

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
from dagster_vectorshift.storage._protocol import ExportStorage
from dagster_vectorshift.translator import (
    DagsterVectorShiftTranslator,
    ExportProps,
    HealthTableProps,
)
from vectorshift_orchestration.specs.documents import require_list
from vectorshift_orchestration.specs.measurable import require_timeless

if TYPE_CHECKING:
    from vectorshift.analytics import Query
    from vectorshift_orchestration.landing import Landing

_ACCOUNT, _STORAGE = "vectorshift", "storage"

KINDS = dg.Resolver(text, model_field_type=Sequence[str], inject_before_resolve=False)


@dataclass(frozen=True, kw_only=True)
class AssetOptions(Document):
    """What every factory of assets takes.

    partitions_def: windows of time.
    query: which events, without a time; None is every event of the account.
    key_prefix: parts of the asset keys before the name.
    group_name, owners, tags, automation_condition, freshness_policy: of every asset, besides what the
        translator says.
    kinds: of every asset, besides vectorshift; the storage's unless given.
    backfill_policy: how many partitions a run may have.
    retry_policy: for errors that pass, see `as_dagster_failures`; None retries none of them.
    pool: the assets' pool; a limit of 1 keeps writers of one DuckDB file apart.
    resource_key: name of the `VectorShiftResource`.
    storage_key: name of the storage.
    storage: the resource that has this name, where it is at hand: the catalog shows its kind and the
        table's whole name before the first run.
    source: a name that the rows of a database's tables bear in column `source_name`, so that assets
        share a table: only rows of that source are replaced.
    replace_other: replace partitions that hold the rows of another query or account, which is refused
        otherwise.
    replace_characters: write U+FFFD for each NUL, lone surrogate and byte that is not UTF-8, and report
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
    storage: dg.Injected[ExportStorage] | None = None
    source: OptionalText = None
    replace_other: bool = False
    replace_characters: bool = False
    translator: dg.Injected[DagsterVectorShiftTranslator] | None = None

    def check(self, noun: str) -> None:
        """Ask nothing, but raise for what all kinds refuse; the error names the noun."""
        require_time(self.partitions_def, noun)
        require_list(self.owners, "owners")
        require_list(self.kinds, "kinds")
        require_timeless(self.query)

    @property
    def prefix(self) -> list[str]:
        """The prefix as the parts of a key."""
        return [self.key_prefix] if isinstance(self.key_prefix, str) else list(self.key_prefix)

    def named(self, explicit: str | None, name: str) -> str:
        """The explicit name, or the asset's prefix and name, in the form of Dagster's ops and jobs."""
        return re.sub(r"\W", "_", explicit or "_".join([*self.prefix, name]), flags=re.ASCII)

    @property
    def account_name(self) -> str:
        """The account's name in a table's ledger; empty for the default resource."""
        return "" if self.resource_key == _ACCOUNT else self.resource_key

    def arguments(self, resources: Set[str], policy: dg.BackfillPolicy) -> dict[str, Any]:
        """How an asset is run, as arguments of `dg.multi_asset`; with its own backfill policy by default."""
        return {
            "partitions_def": self.partitions_def,
            "backfill_policy": self.backfill_policy or policy,
            "retry_policy": self.retry_policy,
            "pool": self.pool,
            "required_resource_keys": set(resources),
        }

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

    @property
    def _kinds(self) -> set[str]:
        return set(self.kinds or ([] if self.storage is None else [self.storage.kind]))

    def spec(self, props: HealthTableProps | ExportProps) -> dg.AssetSpec:
        """The translator's spec with the factory's other options."""
        spec = self.get_translator().get_asset_spec(props)
        spec = spec.merge_attributes(
            owners=list(self.owners), tags=dict(self.tags), kinds=self._kinds
        )
        return spec.replace_attributes(
            key=spec.key.with_prefix(self.prefix),
            group_name=self.group_name or spec.group_name,
            automation_condition=self.automation_condition or spec.automation_condition,
            freshness_policy=self.freshness_policy or spec.freshness_policy,
        )
