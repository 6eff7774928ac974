"""The account and the storage that the YAML of a component brings with it."""

from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, TypeAlias

import dagster as dg
from pydantic import Field, create_model

from dagster_vectorshift._documents import resolver
from dagster_vectorshift._options import AssetOptions
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.storage import (
    DeltaStorage,
    DuckDBStorage,
    FileStorage,
    IcebergStorage,
    ParquetStorage,
    PostgresStorage,
)

_TABLES = (DuckDBStorage, PostgresStorage, DeltaStorage, IcebergStorage, ParquetStorage)
_STORAGES: dict[str, Any] = {each.kind: each for each in (*_TABLES, FileStorage)}


def _documents() -> Any:
    """The keys of each storage, and `type`, which distinguishes them."""
    models = []
    for name, storage in _STORAGES.items():
        kind: Any = Literal[name]
        models.append(create_model(f"{name}_storage", __base__=storage.model(), type=(kind, ...)))
    return Annotated[reduce(or_, models), Field(discriminator="type")] | None


_DOCUMENTS = _documents()


def _resolver(kinds: str, *, only_tables: bool = False) -> dg.Resolver:
    def resolve(context: dg.ResolutionContext, written: Any) -> Any:
        if written and written.type == "file" and only_tables:
            raise ValueError(f"Storage 'file' keeps exports, not tables. Take {kinds}.")
        return written and _STORAGES[written.type].resolve_from_model(context, written)

    description = f'{kinds}; without it, the resource "storage" of the project.'
    return dg.Resolver(resolve, model_field_type=_DOCUMENTS, description=description)


Storage: TypeAlias = Annotated[Any, _resolver("duckdb, postgres, delta, iceberg, parquet or file")]
TableStorage: TypeAlias = Annotated[
    Any, _resolver("duckdb, postgres, delta, iceberg or parquet", only_tables=True)
]


@dataclass(frozen=True, kw_only=True)
class BringsResources(AssetOptions):
    """Options whose YAML may bring the account and the storage."""

    account: Annotated[
        VectorShiftResource | None,
        resolver(
            VectorShiftResource,
            description='The account; else resource "vectorshift" of the project.',
        ),
    ] = None
    storage: Storage = None

    def bound(self, name: str) -> tuple[Self, dg.Definitions]:
        """The same with the keys of its own account and storage, and these as resources.

        What is not written in the YAML is a resource of the project.
        """
        brought, keys = {}, dict[str, Any]()
        for resource, option, noun in (
            (self.account, "resource_key", "vectorshift"),
            (self.storage, "storage_key", "storage"),
        ):
            if resource is not None:
                keys[option] = f"{name}_{noun}"
                brought[keys[option]] = resource
        return replace(self, **keys), dg.Definitions(resources=brought)
