"""An operator: the health page of a window, made of landed tables."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_vectorshift._arguments import inherited, is_literal
from airflow_provider_vectorshift._assets import publish_to_assets
from airflow_provider_vectorshift._landing import Place, as_text
from airflow_provider_vectorshift._mapped import require_own_target
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.operators._windowed import WindowedOperator
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs.documents import require_list

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath


class VectorShiftReportOperator(WindowedOperator):
    """Makes the health page of a data interval: one HTML file, out of tables that other tasks have landed.

    Nothing is asked of the service; put the task behind those that write the tables. Takes the extra
    `report`. The result (XCom) is small: `window`, `uri`, `bytes`, `sha256`. The assets among
    `outlets` get it as the extra of their events.

    Args:
        tables: landed tables, `name` or `schema.name`, all in one database.
        destination: path or URI of the page, such as `/pages/{{ data_interval_start | ds }}.html`,
            `s3://conn_id@bucket/key.html` or an `ObjectStoragePath` for one with a connection.
        sql_conn_id: connection to the tables' database, of any type whose hook is a `DbApiHook`.
        duckdb_path: DuckDB file that holds the tables instead.
        title: heading of the page.
        late: how long after its end a window is written at the latest.
        start: start of the window, an aware datetime or ISO 8601 text; the data interval's by
            default.
        end: its end, which does not belong to it; the data interval's by default.
        lookback: widens the window into the past by so many windows.

    Raises, as `AirflowFailException` without retries: a window that is missing or naive, no table, a
    missing connection, mapped tasks that share a destination. Anything else, such as a table that does not exist yet, fails the try, and
    retries apply. An older page then stays as it is.
    """

    template_fields: Sequence[str] = (
        *("tables", "destination", "sql_conn_id", "duckdb_path", "title"),
        *("start", "end", "lookback"),
    )

    def __init__(
        self,
        *,
        tables: Sequence[str],
        destination: "str | os.PathLike[str] | ObjectStoragePath",
        sql_conn_id: str | None = None,
        duckdb_path: str | os.PathLike[str] | None = None,
        title: str = "Pipeline health",
        late: timedelta = timedelta(days=1),
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        lookback: int | str = 0,
        **kwargs: Any,
    ) -> None:
        window = {name: each for name, each in inherited(locals()).items() if name in _WINDOW}
        super().__init__(**window, **kwargs)
        with self._checking("destination="):
            self.destination = as_text(destination)
        self.tables = tables
        self.sql_conn_id = sql_conn_id
        self.duckdb_path = as_text(duckdb_path)
        self.title = title
        self.late = late
        if is_literal(tables):
            with self._checking("tables="):
                require_list(tables, "tables")
        for table in tables if is_literal(tables) and tables else ["health"]:
            self._place(table).check(self._name)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Read the tables, and put the page in its place."""
        from vectorshift_orchestration.report import publish_health_page

        with failing_fast(self._name):
            window = self._window(context)
            require_own_target(self, context, "destination", example="task.tables[0]")
            if not self.tables:
                raise SpecError(f"{self._name}: tables= names no table.")
            landing = self._place(self.tables[0]).landing()
            assert landing.connect is not None  # a place with a table has a database
            assert landing.destination is not None
            page = publish_health_page(
                landing.connect,
                self.tables,
                window,
                landing.destination,
                title=self.title,
                late=self.late,
            )
        result = {
            "window": window.to_dict(),
            "uri": page.uri,
            "bytes": page.bytes,
            "sha256": page.sha256,
        }
        self.log.info("The health page of %s is at %s", window.label, page.uri)
        publish_to_assets(self, context, result)
        return result

    def _place(self, table: str) -> Place:
        return Place(self.destination, table, self.sql_conn_id, self.duckdb_path)


_WINDOW = ("start", "end", "lookback")
