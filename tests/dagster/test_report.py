"""The health page as an asset, and what the command line prints as assets."""

from datetime import timedelta

import dagster as dg
import duckdb
import pytest

from dagster_vectorshift import (
    FileStorage,
    HealthTable,
    PostgresStorage,
    build_report_asset,
)
from tests.days import MIDNIGHT
from tests.postgres import schemas
from vectorshift_cli.app import run

DAYS = dg.DailyPartitionsDefinition("2025-01-01")
DAY = f"{MIDNIGHT - timedelta(days=1):%Y-%m-%d}"
BEFORE = f"{MIDNIGHT - timedelta(days=2):%Y-%m-%d}"


def told(result):
    """The metadata of the page's materialization, the same for each partition."""
    event, *_ = result.asset_materializations_for_node("health_page")
    return event.metadata


def test_the_page_follows_the_tables(runs, build, tmp_path):
    """A run of tables and page: the page is made last, about all partitions, and its metadata leads to the file."""
    page = build_report_asset(
        tables=["pipeline_health"],
        destination=f"{tmp_path}/{{partition}}.html",
        partitions_def=DAYS,
        title="Ours",
    )
    result = runs([build(HealthTable("pipeline_health")), page], BEFORE, DAY)
    file = tmp_path / f"{BEFORE}...{DAY}.html"
    assert told(result)["page"] == dg.MetadataValue.path(file)
    assert told(result)["vectorshift/bytes"].value == file.stat().st_size
    ((runs_sum,),) = (
        each.values() for each in runs.sql("SELECT sum(runs_sum)::INT FROM pipeline_health")
    )
    assert f">{runs_sum:,}<" in file.read_text()
    assert "Ours</h1>" in file.read_text()


def test_the_page_out_of_postgres(tmp_path, instance):
    """Out of PostgreSQL as well, with the storage that the assets use."""
    with schemas() as made:
        conninfo = made.new()
        storage = PostgresStorage(url=conninfo)
        with storage.connect() as connection:
            connection.execute("CREATE TABLE by_day (bucket_start TIMESTAMPTZ, runs_sum BIGINT)")
            connection.execute(f"INSERT INTO by_day VALUES ('{DAY}T00:00:00Z', 77)")
            connection.commit()
        page = build_report_asset(
            tables=["by_day"], destination=f"{tmp_path}/p.html", partitions_def=DAYS, deps=[]
        )
        dg.materialize([page], partition_key=DAY, resources={"storage": storage}, instance=instance)
    assert ">77<" in (tmp_path / "p.html").read_text()


def test_refusals(tmp_path, instance):
    """No table is refused where the asset is defined; a storage without tables, and a missing table, when it runs."""
    whole = {"destination": f"{tmp_path}/p.html", "partitions_def": DAYS}
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="tables names no table"):
        build_report_asset(tables=[], **whole)
    with pytest.raises(TypeError, match="Did you mean tables"):
        build_report_asset(table=["a"], **whole)
    page = build_report_asset(tables=["a"], **whole)
    resources = {"storage": FileStorage(path=str(tmp_path))}
    with pytest.raises(dg.Failure, match="is a FileStorage, which has no tables to read"):
        dg.materialize([page], partition_key=DAY, resources=resources, instance=instance)
    assert not (tmp_path / "p.html").exists()


def test_what_the_command_line_prints_runs(emulator, tmp_path, instance, capsys, monkeypatch):
    """`--show dagster` of each command is a project that does the same, over the same tables."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", emulator.api_key)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", emulator.base_url)
    database = str(tmp_path / "all.duckdb")
    commands = [
        ["export", "--table", "events", "--duckdb", database, "--where", "status=failure"],
        ["export", "--destination", f"{tmp_path}/files/x.csv", "--object-type", "form"],
        ["health", "--duckdb", database, "--object-type", "pipeline"],
        ["report", "--duckdb", database, "-o", f"{tmp_path}/{{window}}.html"],
        ["check", "--metric", "errors.sum", "--error", "1000000"],
        ["query", "aggregate", "--metrics", "runs.sum", "--by", "model_id"],
    ]
    for arguments in commands:
        with pytest.raises(SystemExit) as ended:
            run([*arguments, "--show", "dagster"])
        assert not ended.value.code
        names = {}
        exec(capsys.readouterr().out.replace("2026-01-01", "2025-01-01"), names)
        defs = names["defs"]
        dg.Definitions.validate_loadable(defs)
        if arguments[0] in ("export", "health", "report"):
            job = defs.resolve_implicit_global_asset_job_def()
            assert job.execute_in_process(partition_key=DAY, instance=instance).success
    with duckdb.connect(database) as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM events").fetchall()
        ((measured,),) = connection.execute(
            "SELECT sum(runs_sum)::INT FROM pipeline_health"
        ).fetchall()
    failed = f"start_time >= '{DAY}' AND start_time < '{DAY}'::DATE + 1 AND status = 'failure'"
    assert [{"n": rows}] == emulator.truth(f"SELECT count(*)::INT AS n FROM events WHERE {failed}")
    assert f">{measured:,}<" in (tmp_path / f"{DAY}.html").read_text()
    assert list((tmp_path / "files").rglob("*.csv"))
