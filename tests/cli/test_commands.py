"""Each command does what it says, and what operators and assets do: same figures, same rows, same ledger."""

import csv
import io
import json
import signal
import subprocess
import time

import duckdb
import pyarrow.parquet as pq

from tests.cli.conftest import DAY, SCRIPT

IN_DAY = f"start_time >= TIMESTAMP '{DAY.start:%F %T}' AND start_time < TIMESTAMP '{DAY.end:%F %T}'"


def told(emulator, what, condition="true"):
    """What the emulator's database says of the day's events."""
    return [
        tuple(row.values())
        for row in emulator.truth(f"SELECT {what} FROM events WHERE {IN_DAY} AND {condition}")
    ]


def test_events_are_counted_and_listed(command, emulator, window):
    """A count is the service's, narrowed by conditions; --all lists every event once, in three forms."""
    failed = ("--where", "status=failure")
    ((count,),) = told(emulator, "count(*)", "status = 'failure'")
    found = command.script("query", "count", "--json", *failed, *window)
    assert json.loads(found.stdout) == {"count": count} | DAY.to_dict()
    listed = command("query", "events", "--all", "--csv", *failed, *window).stdout
    rows = list(csv.DictReader(io.StringIO(listed)))
    assert sorted(row["span_id"] for row in rows) == sorted(
        each for (each,) in told(emulator, "span_id", "status = 'failure'")
    )
    first = command(
        "query", "events", "--limit", 2, "--columns", "span_id,status", *failed, *window
    )
    assert first.stdout.count("│ failure ") == 2
    assert "--all" in first.stderr


def test_figures_are_the_services(command, emulator, window):
    """An aggregation is one request, a column for each metric; CSV has a header and the same rows."""
    spec = command.folder / "figures.yaml"
    spec.write_text(
        "query: {object_type: pipeline}\nmetrics: [runs.sum]\ngroup_by: [pipeline_id]\n"
    )
    rows = command.json("query", "aggregate", "--spec", spec, *window)
    runs = told(emulator, "pipeline_id, count(*)", "entity = 'pipeline' AND is_run GROUP BY 1")
    assert {row["pipeline_id"]: row["runs_sum"] for row in rows} == dict(runs)
    text = command("query", "aggregate", "--spec", spec, "--by", "status", "--csv", *window, code=2)
    assert "Dimension 'status' does not exist" in text.stderr


def test_an_export_lands_and_is_replaced(command, emulator, window):
    """A file and rows of a table, a window each, counted; again it replaces the rows, and never adds."""
    place = ("--table", "lake.events", "--duckdb", "e.duckdb", "--destination", "{window}.parquet")
    both = DAY.lookback(1).to_dict()
    days = ("--start", both["start"], "--end", both["end"], "--every", "day", "--parquet")
    landed = json.loads(command.script("export", "--json", *place, *days).stdout)
    assert [each["end"] for each in landed] == [DAY.to_dict()["start"], DAY.to_dict()["end"]]
    again = command.json("export", *place, *days)
    assert [each["deleted"] for each in again] == [each["rows"] for each in landed]
    ids = sorted(told(emulator, "span_id"))
    with duckdb.connect(str(command.folder / "e.duckdb")) as connection:
        found = connection.execute(
            "SELECT span_id FROM lake.events WHERE span_start_time >= ?", [DAY.start]
        ).fetchall()
    assert sorted(found) == ids
    file = pq.read_table(command.folder / f"{DAY.ds}.parquet")
    assert sorted(file["span_id"].to_pylist()) == [each for (each,) in ids]
    assert not list((command.folder / "home").rglob("export-*.json"))


def test_an_interrupted_export_goes_on(command, emulator, window):
    """After Ctrl-C while the service writes the file, the same command takes that export up again."""
    emulator.fault("export_poll", "never_ready", times=0)
    arguments = ["export", "--destination", "e.csv", *window]
    first = subprocess.Popen(
        [SCRIPT, *arguments], cwd=command.folder, env=command.environment, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list((command.folder / "home").rglob("export-*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while "ex_" not in next((command.folder / "home").rglob("export-*.json")).read_text():
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert (first.returncode, b"Traceback" in errors) == (130, False), errors
    emulator.clear_faults()
    command(*arguments)
    assert emulator.counters()["exports_created"] == 1
    assert not list((command.folder / "home").rglob("export-*.json"))


def test_health_lands_and_the_page_shows_it(command, emulator):
    """Without a spec all that the page shows is kept, day by day; the page is made of it alone."""
    three = DAY.lookback(2).to_dict()
    days = ("--start", three["start"], "--end", three["end"])
    rows = json.loads(command.script("health", "--json", "--duckdb", "h.duckdb", *days).stdout)
    assert {row["table"]: row["windows"] for row in rows} == dict.fromkeys(
        ["health_by_hour", "pipeline_health", "model_health", "error_messages"], 3
    )
    with duckdb.connect(str(command.folder / "h.duckdb")) as connection:
        ((runs,),) = connection.execute(
            "SELECT sum(runs_sum) FROM pipeline_health WHERE bucket_start >= ?", [DAY.start]
        ).fetchall()
    assert [(runs,)] == told(emulator, "count(*)", "is_run")
    emulator.reset_counters()
    page = command.script(
        "report", "--duckdb", "h.duckdb", "-o", "p/{window}.html", "--day", DAY.ds
    )
    assert page.stdout.strip() == f"file://{command.folder}/p/{DAY.ds}.html"
    text = (command.folder / "p" / f"{DAY.ds}.html").read_text()
    assert f"<td>{runs:,}</td>" in text.replace(' class="number"', "")
    assert emulator.counters()["requests"] == {}


def test_a_check_tells_by_its_exit_code(command, emulator, window):
    """0 within the limits, 1 past them, by a limit or by any rule of a spec; the verdict is JSON as operators give it."""
    ((errors,),) = told(emulator, "count(*)", "status = 'failure' AND is_run")
    metric = ("check", "--metric", "errors.sum")
    assert command(*metric, "--error", errors, *window).stdout.startswith("OK ")
    failed = command.script(*metric, "--error", errors - 1, *window, code=1)
    assert failed.stdout.startswith(f"ERROR In {DAY.ds}, errors.sum is {errors}")
    spec = command.folder / "rule.yaml"
    spec.write_text("rule: {rule: rate, warn: 0.0, minimum_sample: 1}\n")
    verdict = command.json("check", "--spec", spec, *window)
    assert (verdict["severity"], verdict["rule"]["rule"]) == ("WARN", "rate")
    command("check", "--spec", spec, "--fail-on", "warn", *window, code=1)


def test_doctor_says_what_stands_and_what_to_do(command, emulator):
    """All is well with an account that answers; a wrong key, a closed port and a locked folder fail, with advice."""
    found = command.script("doctor", "--json", "--destination", "out/e.csv").stdout
    good = {each["topic"]: each for each in json.loads(found)}
    lasting = {topic: each["state"] for topic, each in good.items() if topic != "time zones"}
    assert set(lasting.values()) == {"ok"}  # the zones of an installation grow old
    assert good["clock"]["seen"].startswith("as the service's")
    assert good["time precision"]["advice"].startswith("time_precision=us ")
    assert emulator.api_key not in json.dumps(good)
    bad = command("doctor", code=1, VECTORSHIFT_API_KEY="sk_wrong").stdout
    assert "Set VECTORSHIFT_API_KEY to a key of this account" in bad
    through = {
        "HTTPS_PROXY": "http://me:hunter2@127.0.0.1:9",
        "ALL_PROXY": "http://me:hunter2@127.0.0.1:9",
    }
    far = command(
        "doctor",
        "--account",
        "retries=0",
        "--base-url",
        "https://far.invalid/v1",
        code=1,
        **through,
    )
    assert "http://127.0.0.1:9" in far.stdout
    assert "hunter2" not in far.stdout + far.stderr


def test_the_emulator_is_a_command(command):
    """`emulator` is the service in a process of its own, which ends in peace."""
    process = subprocess.Popen(
        [SCRIPT, "emulator", "--events", "50", "--api-key", "sk_mine"],
        env=command.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = json.loads(process.stdout.readline())
    found = command.json(
        "query",
        "count",
        "--days",
        60,
        VECTORSHIFT_BASE_URL=address["base_url"],
        VECTORSHIFT_API_KEY="sk_mine",
    )
    process.terminate()
    assert (process.wait(timeout=60), found["count"]) == (0, 50)
    process.stdout.close()


def test_postgres_by_the_name_of_its_variable(command, window, postgres):
    """A table of PostgreSQL, whose URL is read from the environment and told to nobody."""
    made = command(
        *("health", "--postgres", "LAKE", "--spec", _tables(command), *window), LAKE=postgres
    )
    assert "runs" in made.stdout
    page = command(
        *("report", "--postgres", "LAKE", "--tables", "runs", "-o", "p.html", *window),
        LAKE=postgres,
    )
    assert (command.folder / "p.html").exists()
    assert "password" not in made.stdout + page.stdout


def _tables(command):
    spec = command.folder / "tables.yaml"
    spec.write_text("tables: [{name: runs, metrics: [runs.sum, errors.sum], group_by: []}]\n")
    return spec
