"""The account and the storage that the YAML of a component brings with it."""

from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, TypeAlias

import dagster as dg
from pydantic import Field, create_model

from dagster_vectorshift._options import AssetOptions
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.storage import DuckDBStorage, FileStorage, ParquetStorage, PostgresStorage

_STORAGES: dict[str, Any] = {
    "duckdb": DuckDBStorage,
    "postgres": PostgresStorage,
    "parquet": ParquetStorage,
    "file": FileStorage,
}


def _documents() -> Any:
    """The keys of each storage, and `type`, by which one is told from another."""
    made = []
    for name, storage in _STORAGES.items():
        word: Any = Literal[name]
        made.append(create_model(f"{name}_storage", __base__=storage.model(), type=(word, ...)))
    return Annotated[reduce(or_, made), Field(discriminator="type")] | None


def _account(context: dg.ResolutionContext, written: Any) -> Any:
    return written and VectorShiftResource.resolve_from_model(context, written)


def _storage(context: dg.ResolutionContext, written: Any) -> Any:
    return written and _STORAGES[written.type].resolve_from_model(context, written)


def _table_storage(context: dg.ResolutionContext, written: Any) -> Any:
    if written and written.type == "file":
        raise ValueError(
            "Storage 'file' keeps exports, not tables. Take duckdb, postgres or parquet."
        )
    return _storage(context, written)


Account: TypeAlias = Annotated[
    VectorShiftResource | None,
    dg.Resolver(
        _account,
        model_field_type=VectorShiftResource.model() | None,
        description='The account; without it, the resource "vectorshift" of the project.',
    ),
]
Storage: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _storage,
        model_field_type=_documents(),
        description='duckdb, postgres, parquet or file; without it, the resource "storage".',
    ),
]
TableStorage: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _table_storage,
        model_field_type=_documents(),
        description='duckdb, postgres or parquet; without it, the resource "storage".',
    ),
]


@dataclass(frozen=True, kw_only=True)
class BringsResources(AssetOptions):
    """Options whose YAML may bring the account and the storage."""

    account: Account = None
    storage: Storage = None

    def bound(self, name: str) -> tuple[Self, dg.Definitions]:
        """The same with the keys of its own account and storage, and these as resources.

        What is not written in the YAML is a resource of the project.
        """
        brought, keys = {}, dict[str, Any]()
        for made, option, noun in (
            (self.account, "resource_key", "vectorshift"),
            (self.storage, "storage_key", "storage"),
        ):
            if made is not None:
                keys[option] = f"{name}_{noun}"
                brought[keys[option]] = made
        return replace(self, **keys), dg.Definitions(resources=brought)
