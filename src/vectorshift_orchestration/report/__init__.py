"""The health page: what landed tables say about a window, as one HTML file that needs nothing else.

    with duckdb_file(path) as connection:
        text = health_page(connection, ["pipeline_health", "error_messages"], Window.day(day))

The tables are those that health assets and aggregations keep (`HealthTable`, `ErrorTable`). What the
page can show follows from their columns: sums of runs and errors give the course of both, latency
percentiles of a table without dimensions give theirs, `model_id` the costs by model, `pipeline_id` the
pipelines that fail most, `error_message` the messages; the ledger beside them, what is missing or late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.report.figures import landed_tables
from vectorshift_orchestration.report.landings import landings
from vectorshift_orchestration.report.sections import sections
from vectorshift_orchestration.storage.databases import database_of, reading
from vectorshift_orchestration.windows import Window

if TYPE_CHECKING:
    from vectorshift_orchestration.storage.destinations import Destination
    from vectorshift_orchestration.storage.files import Published

__all__ = ["health_page", "publish_health_page"]


def health_page(
    connection: Any,
    tables: Sequence[str],
    window: Window,
    *,
    title: str = "Pipeline health",
    late: timedelta = timedelta(days=1),
    now: datetime | None = None,
) -> str:
    """The health page of a window: text of an HTML file with its charts inside, for any browser.

    It requests nothing over the network (its CSP forbids it), has no script, follows the reader's dark or
    light theme, and prints. Behind each chart stand its figures as a table. Takes the extra `report`.

    Args:
        connection: to the database of the tables, as `overwrite_window` takes it. Only read.
        tables: names, `name` or `schema.name`; all of them in this database.
        window: what the page is about; the window before it, as long, is what it is compared with.
        title: heading of the page.
        late: how long after its end a window is written at the latest; what came later is listed.
        now: aware moment up to which windows can be missing; None is the present.

    Raises:
        StorageError: a table does not exist, or has no column `bucket_start`.
        ModuleNotFoundError: the extra `report` is not installed.
    """
    try:
        import vl_convert  # noqa: F401  # the charts take it when they are drawn

        from vectorshift_orchestration.report.page import render
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"a page needs {error.name}: pip install 'vectorshift-orchestration[report]'",
            name=error.name,
        ) from error

    moment = now or datetime.now(UTC)
    database = database_of(connection)
    with reading(database):
        tables_read = landed_tables(database, tables, window)
        shown = sections(database, tables_read, window)
        landed = landings(tables_read, window, late=late, now=moment)
    return render(title, window, [*shown, landed], moment)


def publish_health_page(
    connect: Callable[[], AbstractContextManager[Any]],
    tables: Sequence[str],
    window: Window,
    destination: Destination,
    **options: Any,
) -> Published:
    """The health page of a window as a file, which appears at once and takes the place of an older one.

    `connect` opens the database of the tables and closes it again, such as `lambda: duckdb_file(path)`;
    `options` are those of `health_page`. Raises as that, and `PublishError`.
    """
    from vectorshift_orchestration.storage.files import publish

    with connect() as connection:
        text = health_page(connection, tables, window, **options)
    with TemporaryDirectory(prefix="vectorshift-") as folder:
        page = Path(folder, "page.html")
        page.write_text(text, encoding="utf-8")
        return publish(page, destination)
