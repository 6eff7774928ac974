"""The parts that the YAML of both components consists of."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

import dagster as dg
from dagster.components.resolved.base import resolve_fields
from dagster.components.resolved.core_models import (
    DailyPartitionsDefinitionModel,
    HourlyPartitionsDefinitionModel,
    MultiRunBackfillPolicyModel,
    SingleRunBackfillPolicyModel,
    TimeWindowPartitionsDefinitionModel,
    WeeklyPartitionsDefinitionModel,
    resolve_backfill_policy,
    resolve_partitions_def,
)
from pydantic import Field

from dagster_vectorshift.components.secrets import FromEnvironment, Secret
from dagster_vectorshift.evaluations import require_measurable
from dagster_vectorshift.resource import VectorShiftResource
from dagster_vectorshift.storage import (
    DuckDBStorage,
    FileStorage,
    ParquetStorage,
    PostgresStorage,
)
from vectorshift_orchestration.specs import QuerySpec
from vectorshift_orchestration.specs.documents import nearest

Schedule: TypeAlias = dict[str, Any]


class AccountModel(dg.Model, dg.Resolvable):
    """A VectorShift account."""

    api_key: Secret = Field(repr=False)
    base_url: FromEnvironment = None
    timeout: float = 60.0
    connect_timeout: float = 10.0
    total_timeout: float = 300.0
    ui_url: FromEnvironment = None


class DuckDBModel(dg.Model, dg.Resolvable):
    """Tables in one DuckDB file."""

    type: Literal["duckdb"] = "duckdb"
    path: FromEnvironment
    lock_timeout: float = 30.0


class PostgresModel(dg.Model, dg.Resolvable):
    """Tables in a PostgreSQL database."""

    type: Literal["postgres"]
    url: Secret = Field(repr=False)
    connect_timeout: int = 10


class ParquetModel(dg.Model, dg.Resolvable):
    """One Parquet file for each partition, on a disk or in an object store."""

    type: Literal["parquet"]
    path: FromEnvironment


class FileModel(dg.Model, dg.Resolvable):
    """Exports as the files that they are."""

    type: Literal["file"]
    path: FromEnvironment


class QueryModel(dg.Model, dg.Resolvable):
    """Which events, in the words of `vectorshift_orchestration.specs.QuerySpec`."""

    object_id: str | None = None
    object_type: str | None = None
    kinds: Sequence[str] = ()
    where: Sequence[Mapping[str, Any]] = ()


class RetryPolicyModel(dg.Model, dg.Resolvable):
    """How often and after how many seconds a step is tried again after an error that passes."""

    max_retries: int = 1
    delay: float | None = None
    backoff: Literal["linear", "exponential"] | None = None


class ScheduleModel(dg.Model, dg.Resolvable):
    """When partitions are materialized; see `build_health_schedule`."""

    settle_minutes: int = 0
    lookback: int = 0
    catch_up: int = 31
    cron_schedule: str | None = None
    running: bool = False


_STORAGES: dict[str, tuple[type[Any], type[Any]]] = {
    "duckdb": (DuckDBModel, DuckDBStorage),
    "postgres": (PostgresModel, PostgresStorage),
    "parquet": (ParquetModel, ParquetStorage),
    "file": (FileModel, FileStorage),
}


def bound(name: str, account: Any, storage: Any) -> tuple[dict[str, Any], tuple[str, str]]:
    """The resources that a component brings, and the keys of account and storage.

    What is not written in the YAML is a resource of the project, "vectorshift" or "storage".
    """
    made = {"vectorshift": account, "storage": storage}
    keys = {key: key if each is None else f"{name}_{key}" for key, each in made.items()}
    resources = {keys[key]: each for key, each in made.items() if each is not None}
    return resources, (keys["vectorshift"], keys["storage"])


def _account(context: dg.ResolutionContext, model: Any) -> VectorShiftResource | None:
    if model is None:
        return None
    return VectorShiftResource(**resolve_fields(model, AccountModel, context))


def _storage(context: dg.ResolutionContext, model: Any) -> Any:
    if model is None:
        return None
    if model.type not in _STORAGES:
        raise ValueError(f"There is no storage {model.type!r}. {nearest(model.type, _STORAGES)}")
    described, made = _STORAGES[model.type]
    fields = dict(resolve_fields(model, described, context))
    fields.pop("type", None)
    return made(**fields)


def _table_storage(context: dg.ResolutionContext, model: Any) -> Any:
    made = _storage(context, model)
    if isinstance(made, FileStorage):
        raise ValueError(
            "Storage 'file' keeps exports, not tables. Take duckdb, postgres or parquet."
        )
    return made


def _query(context: dg.ResolutionContext, model: Any) -> Any:
    if model is None:
        return None
    return QuerySpec(**resolve_fields(model, QueryModel, context)).query()


def _measured_query(context: dg.ResolutionContext, model: Any) -> Any:
    query = _query(context, model)
    require_measurable(query)
    return query


def _retry_policy(context: dg.ResolutionContext, model: Any) -> dg.RetryPolicy | None:
    if model is None:
        return None
    fields = dict(resolve_fields(model, RetryPolicyModel, context))
    backoff = fields.pop("backoff", None)
    return dg.RetryPolicy(**fields, backoff=dg.Backoff[backoff.upper()] if backoff else None)


def _schedule(context: dg.ResolutionContext, model: Any) -> Schedule | None:
    if model is None:
        return None
    fields = dict(resolve_fields(model, ScheduleModel, context))
    running = fields.pop("running", False)
    settle = timedelta(minutes=fields.pop("settle_minutes", 0))
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    return {**fields, "settle": settle, "default_status": status}


Account: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _account,
        model_field_type=AccountModel.model() | None,
        description='The account; without it, the resource "vectorshift" of the project.',
    ),
]
Storage: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _storage,
        model_field_type=DuckDBModel.model()
        | PostgresModel.model()
        | ParquetModel.model()
        | FileModel.model()
        | None,
        description='duckdb, postgres, parquet or file; without it, the resource "storage".',
    ),
]
TableStorage: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _table_storage,
        model_field_type=DuckDBModel.model() | PostgresModel.model() | ParquetModel.model() | None,
        description='duckdb, postgres or parquet; without it, the resource "storage".',
    ),
]
Partitions: TypeAlias = Annotated[
    dg.TimeWindowPartitionsDefinition,
    dg.Resolver(
        resolve_partitions_def,
        model_field_type=HourlyPartitionsDefinitionModel
        | DailyPartitionsDefinitionModel
        | WeeklyPartitionsDefinitionModel
        | TimeWindowPartitionsDefinitionModel,
        description="Windows of time: type hourly, daily, weekly or time_window, and start_date.",
    ),
]
BackfillPolicy: TypeAlias = Annotated[
    dg.BackfillPolicy | None,
    dg.Resolver(
        resolve_backfill_policy,
        model_field_type=SingleRunBackfillPolicyModel | MultiRunBackfillPolicyModel | None,
        description="type single_run, or multi_run with max_partitions_per_run.",
    ),
]
RetryPolicy: TypeAlias = Annotated[
    dg.RetryPolicy | None,
    dg.Resolver(
        _retry_policy,
        model_field_type=RetryPolicyModel.model() | None,
        description="max_retries, delay (seconds), backoff (linear or exponential).",
    ),
]
Events: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _query,
        model_field_type=QueryModel.model() | None,
        description="Which events: object_type, object_id, kinds, where. Nothing is every event.",
    ),
]
MeasuredEvents: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _measured_query,
        model_field_type=QueryModel.model() | None,
        description="Which events: object_type, object_id, kinds, where on scope columns.",
    ),
]
Planned: TypeAlias = Annotated[
    Any,
    dg.Resolver(
        _schedule,
        model_field_type=ScheduleModel.model() | None,
        description="settle_minutes, lookback, catch_up, cron_schedule, running.",
    ),
]
