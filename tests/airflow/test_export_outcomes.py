"""What an export tells beside its result: the link, the assets' events, OpenLineage, few lines in the log."""

import json
from importlib.metadata import version

import pytest
import structlog
from airflow.sdk import Asset, AssetAlias

from airflow_provider_vectorshift._assets import uri_of_table
from airflow_provider_vectorshift._landing import Place
from airflow_provider_vectorshift.links import VectorShiftExportLink
from airflow_provider_vectorshift.operators import (
    VectorShiftAggregateOperator,
    VectorShiftExportOperator,
)
from tests.airflow.running import Runner, last_day
from vectorshift_orchestration.addresses import account_host, export_url
from vectorshift_orchestration.exports.progress import ProgressLog


def export(context=None, **arguments):
    """A task that ran here, and its result."""
    day = last_day()
    task = VectorShiftExportOperator(
        task_id="export", start=day.start, end=day.end, poll_interval=0.05, **arguments
    )
    return task, task.execute(context or {})


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.vectorshift.ai/v1", "https://api.vectorshift.ai/v1/analytics/exports/ex_1"),
        ("https://me:secret@host:8443/v1/", "https://host:8443/v1/analytics/exports/ex_1"),
    ],
)
def test_link_address(base_url, url):
    """The link leads to the export in the API, without a credential of the base URL."""
    assert export_url(base_url, "ex_1") == url
    assert "secret" not in account_host(base_url)


def test_link_never_raises():
    """Before there is an export, and for another operator, the link is empty text."""
    link = VectorShiftExportLink()
    task = VectorShiftExportOperator(task_id="export", destination="x.csv")
    assert [link.get_link(each, ti_key=None) for each in (task, object())] == ["", ""]


def test_log_is_short_and_has_no_address(emulator, tmp_path, monkeypatch):
    """An export is a few lines, with its rows and id, and no URL at all."""
    with structlog.testing.capture_logs() as captured:
        _, result = export(destination=tmp_path / "events.csv")
    reported = [each["event"] % each.get("positional_args", ()) for each in captured]
    assert f"The export is {result['task_id']}" in reported
    assert any(f"Landed {result['rows']} rows" in line for line in reported)
    assert len(reported) <= 4
    assert "http" not in "".join(reported)


def test_progress_is_logged_when_it_has_doubled():
    """Each figure is said once it matters, and then in ever wider steps."""
    output = []
    progress = ProgressLog(lambda line, number: output.append(line % number))
    for rows in range(0, 8_000_001, 10_000):
        progress("checked", rows)
    assert output == [f"Checked {n},000 rows" for n in ("500", "1,000", "2,000", "4,000", "8,000")]


def test_lineage(emulator, tmp_path, monkeypatch):
    """OpenLineage gets the account's events as input, the file and the table as outputs, with their sizes."""
    from airflow.providers.openlineage.extractors.base import DefaultExtractor

    day = last_day()
    task, result = export(
        destination=tmp_path / "events.csv",
        table="events",
        duckdb_path=tmp_path / "events.duckdb",
        query={"object_type": "pipeline"},
    )
    lineage = DefaultExtractor(task).extract_on_complete(None)
    (events,) = lineage.inputs
    assert (events.namespace, events.name) == (
        emulator.base_url.removesuffix("/v1"),
        "analytics/events",
    )
    file, table = lineage.outputs
    assert (file.namespace, file.name) == ("file", str(tmp_path / "events.csv"))
    assert (table.namespace, table.name) == (f"duckdb://{tmp_path}/events.duckdb", "main.events")
    for output in lineage.outputs:
        written = output.outputFacets["outputStatistics"]
        assert (written.rowCount, written.size) == (result["rows"], result["bytes"])
    assert lineage.run_facets["externalQuery"].externalQueryId == result["task_id"]
    assert day.to_dict() == result["window"]


def test_lineage_of_a_connections_table(emulator, tmp_path, monkeypatch):
    """A table of a connection is named as its hook names it, or by the connection."""
    from airflow_provider_vectorshift._landing import Place
    from airflow_provider_vectorshift._lineage import lineage_of

    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://me:secret@db:5432/lake")
    monkeypatch.setenv(
        "AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "x")})
    )
    named = []
    for conn_id in ("pg", "lite"):
        result = {"task_id": "ex_1", "rows": 1, "bytes": 2, "uri": "s3://lake/a/b.csv"}
        place = Place(table="raw.events", sql_conn_id=conn_id)
        lineage = lineage_of(result, "https://host/v1", place)
        file, table = ((each.namespace, each.name) for each in lineage.outputs)
        assert file == ("s3://lake", "a/b.csv")
        named.append(table)
    assert named == [("postgres://db:5432", "lake.raw.events"), ("sqlite://lite", "raw.events")]


def test_lineage_of_figures(emulator, tmp_path):
    """Figures come from the account's events, too; how many events there were is not known."""
    day = last_day()
    task = VectorShiftAggregateOperator(
        task_id="figures",
        metrics=["runs.sum"],
        destination=tmp_path / "figures.parquet",
        start=day.start,
        end=day.end,
    )
    result = task.execute({})
    lineage = task.get_openlineage_facets_on_complete(None)
    (events,), (file,) = lineage.inputs, lineage.outputs
    assert (events.name, events.inputFacets, lineage.run_facets) == ("analytics/events", {}, {})
    assert (file.namespace, file.name) == ("file", str(tmp_path / "figures.parquet"))
    written = file.outputFacets["outputStatistics"]
    assert (written.rowCount, written.size) == (result["rows"], result["bytes"])


def test_no_lineage_before_it_landed():
    """A task that has nothing to tell tells nothing."""
    task = VectorShiftExportOperator(task_id="export", destination="x.csv")
    assert task.get_openlineage_facets_on_complete(None) is None


def test_assets_are_reported_directly(emulator, tmp_path):
    """Each asset among the outlets gets the result as its event's extra; an alias stands for the file."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    asset, alias = Asset("lake://events"), AssetAlias("any")
    events = OutletEventAccessors()
    events[asset].extra["owner"] = "me"
    _, result = export(
        {"outlet_events": events}, destination=tmp_path / "events.csv", outlets=[asset, alias]
    )
    assert events[asset].extra == {"owner": "me", **result}
    (event,) = events[alias].asset_alias_events
    assert event.dest_asset_key.uri == Asset(uri=result["uri"]).uri
    assert objects_in(event.extra) == result


def test_an_alias_without_an_address(emulator, tmp_path, monkeypatch, caplog):
    """An alias for a table of which no provider says how to write its address has no event, and the log says why."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    monkeypatch.setenv(
        "AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "x")})
    )
    events, alias = OutletEventAccessors(), AssetAlias("any")
    export({"outlet_events": events}, outlets=[alias], table="events", sql_conn_id="lite")
    assert events[alias].asset_alias_events == []
    assert "'any' among the outlets gets no event" in caplog.text


def test_a_task_without_outlets_has_an_alias():
    """It is there while the DAG is parsed, unless outlets are given, also none, or nothing lands."""
    where = {"task_id": "export", "destination": "x.csv"}
    assert VectorShiftExportOperator(**where).outlets == [AssetAlias("vectorshift")]
    assert VectorShiftExportOperator(**where, outlets=[]).outlets == []
    assert VectorShiftExportOperator(**where, outlets=[Asset("own")]).outlets == [Asset("own")]
    assert VectorShiftAggregateOperator(task_id="measure", metrics=["runs.sum"]).outlets == []


@pytest.mark.parametrize("table", ["events", "raw.events"])
def test_a_table_is_the_asset_that_its_provider_makes(monkeypatch, table):
    """The address has no credential, and is that of the Postgres provider's `create_asset`; MySQL's has no schema."""
    try:
        from airflow.providers.postgres.assets.postgres import create_asset
    except ImportError:  # a provider of Airflow 3.1's day

        def create_asset(*, host, database, schema, table):
            return Asset(f"postgres://{host}:5432/{database}/{schema}/{table}")

    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://me:secret@db/lake")
    monkeypatch.setenv("AIRFLOW_CONN_MY", "mysql://me:secret@db/lake")
    schema = table.rpartition(".")[0]
    made = create_asset(host="db", database="lake", schema=schema or "public", table="events")
    (of_postgres,) = uri_of_table(Place(table=table, sql_conn_id="pg"))
    (of_mysql,) = uri_of_table(Place(table=table, sql_conn_id="my"))
    assert Asset(of_postgres) == made
    assert of_mysql == f"mysql://db:3306/{schema or 'lake'}/events"


@pytest.mark.airflow
def test_what_landed_is_an_asset_by_itself(emulator, tmp_path, monkeypatch, metadata_database):
    """A real run leaves an event for the file and one for the table, each with the result; a file of each run is none."""
    import sqlite3

    run = Runner(tmp_path, monkeypatch)
    done = [run(outlets=None), run(outlets=None, destination=f"{tmp_path}/out/{{{{ ds }}}}.csv")]
    assert [each.errors for each in done] == [[], []]
    with sqlite3.connect(metadata_database) as connection:
        events = {
            each.run_id: dict(
                connection.execute(
                    "SELECT uri, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id"
                    " WHERE source_run_id = ?",
                    [each.run_id],
                ).fetchall()
            )
            for each in done
        }
    table = Asset(f"duckdb://{run.database}/main/events").uri
    assert set(events[done[0].run_id]) == {run.file.as_uri(), table}
    assert set(events[done[1].run_id]) == {table}
    for each in done:
        told = [objects_in(json.loads(extra)) for extra in events[each.run_id].values()]
        assert all(extra == each.result for extra in told)


def objects_in(extra):
    """The extra of an alias's event, in which objects are JSON texts on Airflow 3.1.2."""
    if version("apache-airflow-core") != "3.1.2":
        return extra
    nested = {name: json.loads(each) for name, each in extra.items() if str(each)[:1] == "{"}
    return extra | nested


@pytest.mark.airflow
@pytest.mark.parametrize("by", ["name", "uri"])
def test_assets_by_reference_in_a_dag_run(emulator, tmp_path, monkeypatch, metadata_database, by):
    """An outlet by `Asset.ref` has one event with the result, as the asset itself would."""
    import sqlite3

    monkeypatch.setenv("ONE_EXPORT_ASSET_REF", by)
    done = Runner(tmp_path, monkeypatch)()
    assert done.errors == []
    with sqlite3.connect(metadata_database) as connection:
        events = connection.execute(
            "SELECT extra FROM asset_event WHERE source_run_id = ? AND source_task_id = 'export'",
            [done.run_id],
        ).fetchall()
    assert [json.loads(extra) for (extra,) in events] == [done.result]


@pytest.mark.airflow
def test_link_and_asset_in_a_dag_run(emulator, tmp_path, monkeypatch, metadata_database):
    """A real run leaves the link of its export and one asset event with the result."""
    import sqlite3

    run = Runner(tmp_path, monkeypatch)
    monkeypatch.setenv("ONE_EXPORT_ASSET", "x-lake://events")
    done = run(deferrable=True)
    assert done.errors == []
    with sqlite3.connect(metadata_database) as connection:
        links = connection.execute(
            "SELECT value FROM xcom WHERE run_id = ? AND key = 'vectorshift_export_link'",
            [done.run_id],
        ).fetchall()
        events = connection.execute(
            "SELECT extra FROM asset_event WHERE source_run_id = ?", [done.run_id]
        ).fetchall()
    url = export_url(emulator.base_url, done.result["task_id"])
    assert [url in value for (value,) in links] == [True]
    assert [json.loads(extra) for (extra,) in events] == [done.result]
