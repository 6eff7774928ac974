"""Where rows land, in the operators' arguments: a file, a table of a database, or both.

A destination with a scheme is opened as Airflow's `ObjectStoragePath`, so that `s3://lake@bucket/key`
takes the credentials of connection `lake`. A table is in a DuckDB file, in a lake, or in the database of
a connection whose hook is a `DbApiHook`.
"""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._airflow import AirflowFailException, AirflowNotFoundException
from airflow_provider_vectorshift._arguments import checking, is_late, is_literal
from airflow_provider_vectorshift.errors import VectorShiftConnectionError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from vectorshift_orchestration.landing import Connect, Landing
    from vectorshift_orchestration.storage.destinations import Destination

_DATABASES = ("sql_conn_id", "duckdb_path", "lake")


@dataclass(frozen=True)
class Place:
    """Where an operator's rows land, with the names of its arguments."""

    destination: str | None = None
    table: str | None = None
    sql_conn_id: str | None = None
    duckdb_path: str | None = None
    lake: str | None = None
    source: str | None = None
    replace_other: bool = False
    replace_characters: bool = False

    def check(self, name: str) -> None:
        """Raise `SpecError`, a sentence that begins with `name`, unless it is clear where to land.

        Values that are only known at run time (an XCom of another task) pass.
        """
        with checking(name):
            self._check_combination()
        self._check_names(name)

    def _check_combination(self) -> None:
        for argument in ("destination", "table", "source", *_DATABASES):
            value = getattr(self, argument)
            if not (value is None or is_late(value) or (isinstance(value, str) and value.strip())):
                raise ValueError(f"{argument}= is a text that is not empty, not {value!r}.")
        if self.destination is None and self.table is None:
            raise ValueError("the rows have nowhere to land. Give destination=, table=, or both.")
        databases = [argument for argument in _DATABASES if getattr(self, argument) is not None]
        if self.table is None and databases:
            raise ValueError(f"{databases[0]}= names a database. Give table= too, or neither.")
        if self.table is not None and len(databases) != 1:
            raise ValueError(
                "table= needs its database, either sql_conn_id= (an Airflow connection) or duckdb_path= "
                f"(a DuckDB file) or lake= (Delta, Iceberg){', not both' if databases else ''}."
            )
        if self.table is None and (self.source is not None or self.replace_other):
            name = "replace_other" if self.source is None else "source"
            raise ValueError(f"{name}= needs table=. Give table= too.")

    def _check_names(self, name: str) -> None:
        from vectorshift_orchestration.storage.destinations import require_file
        from vectorshift_orchestration.storage.duckdb_file import database_file
        from vectorshift_orchestration.storage.identifiers import TableName
        from vectorshift_orchestration.storage.lake_address import check_lake
        from vectorshift_orchestration.storage.parts import check_source

        checks: dict[str, Callable[[str], Any]] = {
            "destination": require_file,
            "table": TableName.parse,
            "duckdb_path": database_file,
            "lake": check_lake,
            "source": check_source,
        }
        for argument, check in checks.items():
            value = getattr(self, argument)
            if value is not None and is_literal(value):
                with checking(name, f"{argument}="):
                    check(value)

    def landing(self, *, parquet: bool = False) -> "Landing":
        """The core's landing, its connections looked up; the database is opened when it is needed.

        Raises `AirflowFailException` for a destination that cannot be one file, and
        `VectorShiftConnectionError` for a connection that is missing or not a database's. Opening
        the database raises `StorageError` for a DuckDB file that stays locked, and the driver's
        error when the database does not answer.
        """
        from vectorshift_orchestration.landing import Landing

        connect: Connect | None = None
        reconnect: Callable[[], Any] | None = None
        if self.sql_conn_id is not None:
            hook = _sql_hook(self.sql_conn_id)
            reconnect = partial(_connected, hook)
            connect = lambda: closing(_connected(hook))  # noqa: E731  # one line beside its twin
        elif self.duckdb_path is not None:
            from vectorshift_orchestration.storage.duckdb_file import duckdb_file

            connect = partial(duckdb_file, self.duckdb_path)
        elif (lake := self.lake) is not None:
            from vectorshift_orchestration.storage.lake_address import lake_of

            connect = lambda: closing(lake_of(lake))  # noqa: E731  # one line beside its twin
        return Landing(
            destination=None if self.destination is None else _file(self.destination),
            table=self.table,
            connect=connect,
            reconnect=reconnect,
            parquet=parquet,
            source=self.source,
            replace_other=self.replace_other,
            replace_characters=self.replace_characters,
        )


def as_text(path: Any) -> Any:
    """A path as text, which templates can fill in and a DAG file's serialization can hold.

    An `ObjectStoragePath` keeps its connection, but not options of its own: raises ValueError for
    those, because they may be credentials.
    """
    if isinstance(path, str) or path is None:
        return path
    if hasattr(path, "storage_options") and hasattr(path, "protocol"):
        if set(path.storage_options) - {"conn_id"}:  # where Airflow 3.1 keeps the connection
            raise ValueError(
                f"{path} has storage options, which a DAG should not hold: put them into the "
                "connection that its conn_id names."
            )
        return str(path)
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def _file(destination: str) -> "Destination":
    """The destination as the core takes it."""
    from vectorshift_orchestration.errors import PublishError
    from vectorshift_orchestration.storage.destinations import file_target

    opened = _object_storage(destination)
    try:
        file_target(destination if isinstance(opened, str) else opened)
    except PublishError as problem:
        raise AirflowFailException(str(problem)) from problem
    return opened


def _object_storage(destination: str) -> "Destination":
    """An `ObjectStoragePath` where Airflow serves the scheme, else the text, for fsspec's own rules."""
    scheme, separator, rest = destination.partition("://")
    if not separator or scheme == "file":
        return destination
    from airflow.sdk import ObjectStoragePath

    from vectorshift_orchestration.addresses import without_secrets

    conn_id = rest.partition("/")[0].rpartition("@")[0].partition(":")[0]
    try:
        path = ObjectStoragePath(destination)
        path.fs  # noqa: B018  # opened here, where the error can name what is missing
    except AirflowNotFoundException:
        raise VectorShiftConnectionError(
            f"Destination {without_secrets(destination)} names connection {conn_id!r}, which does not exist. Create "
            "it, or leave it out to use the environment's credentials."
        ) from None
    except ValueError as problem:  # no provider of Airflow's serves the scheme
        if not conn_id:
            return destination
        raise VectorShiftConnectionError(
            f"{scheme}:// with connection {conn_id!r} needs the Airflow provider that serves "
            f"{scheme}:// ({without_secrets(str(problem))}). Install it, or leave the connection out to use the "
            "environment's credentials."
        ) from None
    return path


def _sql_hook(conn_id: str) -> "DbApiHook":
    from airflow.sdk import BaseHook

    try:
        from airflow.providers.common.sql.hooks.sql import DbApiHook
    except ImportError:
        raise VectorShiftConnectionError(
            f"sql_conn_id {conn_id!r} needs apache-airflow-providers-common-sql and the provider of "
            "the database. Install both."
        ) from None
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise VectorShiftConnectionError(
            f"Connection {conn_id!r} for the table does not exist. Create it, or name another one with "
            "sql_conn_id=."
        ) from None
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as problem:  # an unknown type is a plain AirflowException
        raise VectorShiftConnectionError(
            f"Connection {conn_id!r} cannot be opened: {problem}. Install the Airflow provider of "
            f"connection type {connection.conn_type!r}, or correct the type."
        ) from problem
    if not isinstance(hook, DbApiHook):
        raise VectorShiftConnectionError(
            f"Connection {conn_id!r} of type {connection.conn_type!r} is not a database: its "
            f"hook {type(hook).__name__} is not a DbApiHook. Name a database with sql_conn_id=."
        )
    return hook


def _connected(hook: "DbApiHook") -> Any:
    """A connection of the hook's driver, without autocommit, because the core commits."""
    connection = hook.get_conn()
    if hook.supports_autocommit:
        hook.set_autocommit(connection, False)
    return connection
