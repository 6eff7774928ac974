"""`make demo`: a nightly export through Airflow and a health table through Dagster, both checked against the truth.

`--trace FILE ...` takes the real request trace instead of generated events.
"""

import argparse
import csv
import hashlib
import json
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import stack
import traces

from vectorshift import Client
from vectorshift.analytics import EventField
from vectorshift_emulator import Emulator

DAYS = 7
EVENTS = stack.HOME / "events.duckdb"
HEALTH = stack.HOME / "health.duckdb"


@dataclass(frozen=True)
class Line:
    """One row of the closing table."""

    what: str
    truth: Any
    landed: Any
    where: str
    seconds: float | None = None

    @property
    def same(self) -> bool:
        """Whether what landed is what the service holds."""
        return bool(self.truth == self.landed)


def main() -> int:
    """Run the demo; 0 when everything that landed equals the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--trace", nargs="+", type=Path, default=[], metavar="FILE", help="real trace files"
    )
    parser.add_argument("--events", type=int, default=100_000, help="generated events over 30 days")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        with stack.home(), stack.emulator(*_source(options)) as service:
            for path in options.trace:
                traces.load(service, path)
            lines = _demo(service, options.trace)
    except (stack.StepFailed, traces.TraceFileError) as error:
        print(error, file=sys.stderr)
        return 1
    _print(lines)
    print(
        f"\n{time.monotonic() - began:.0f} s in all. Run it again: the same rows, replaced. Then try"
    )
    print(
        "  make up                        the same, live: emulator, Airflow and Dagster in the browser"
    )
    print(
        f"  {stack.BIN / 'python'} -c \"import duckdb; duckdb.connect('{EVENTS}').sql('from events').show()\""
    )
    return 0 if all(line.same for line in lines) else 1


def _source(options: argparse.Namespace) -> list[str]:
    if not options.trace:
        return ["--events", str(options.events), "--days", "30", "--seed", "7"]
    if absent := [str(path) for path in options.trace if not path.is_file()]:
        raise SystemExit(f"no such trace file: {', '.join(absent)}")
    return ["--events", "0"]


def _demo(service: Emulator, trace: list[Path]) -> list[Line]:
    newest = service.truth("select max(start_time)::date::varchar as day from events")[0]["day"]
    day = date.fromisoformat(newest)
    first = day - timedelta(days=DAYS - 1)
    env = stack.environment(service, str(first if trace else day - timedelta(days=29)))
    print(
        f"The service holds {_one(service, 'count(*)', 'true'):,} events, the last complete day is {day}."
    )

    print("Airflow: exporting that day ...", flush=True)
    stack.migrate_airflow(env)
    exported = stack.run(
        "airflow-dag",
        [stack.BIN / "airflow", "dags", "test", "nightly_export", str(day + timedelta(days=1))],
        env,
    )

    print(f"Dagster: materializing {DAYS} days in one run ...", flush=True)
    requests = service.counters()["requests"].get("aggregations", 0)
    definitions = stack.EXAMPLES / "dagster" / "definitions.py"
    materialized = stack.run(
        "dagster-assets",
        [
            *(stack.BIN / "dagster", "asset", "materialize", "-f", definitions, "--select", "*"),
            *("--partition-range", f"{first}...{day}"),
        ],
        env,
    )
    request_count = service.counters()["requests"].get("aggregations", 0) - requests
    return [
        *_exported(service, day, exported),
        *_health(service, first, day, materialized, request_count),
        *(_straight_from_files(service, trace) if trace else []),
    ]


def _within(first: date, last: date) -> str:
    return f"start_time >= '{first}' and start_time < '{last + timedelta(days=1)}'"


def _one(service: Emulator, figure: str, where: str) -> Any:
    return service.truth(f"select {figure} as it from events where {where}")[0]["it"]


def _exported(service: Emulator, day: date, seconds: float) -> list[Line]:
    path = stack.HOME / "events" / f"dt={day}" / "events.csv"
    span = _within(day, day)
    with path.open(newline="", encoding="utf-8") as file:
        in_file = sum(1 for _ in csv.DictReader(file))
    columns = "span_id, trace_id, span_kind, status, object_id, latency"
    truth = service.truth(f"select {columns} from events where {span}")
    with duckdb.connect(str(EVENTS), read_only=True) as connection:
        rows = connection.sql(
            f"select {columns} from events where span_{span.replace('and start', 'and span_start')}"
        )
        landed = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    return [
        Line(f"events of {day}, in the file", len(truth), in_file, str(path), seconds),
        Line("the same, in the table", len(truth), len(landed), f"{EVENTS}: events"),
        Line(
            "rows, by content",
            _fingerprint(truth),
            _fingerprint(landed),
            "the same after every run",
        ),
    ]


def _fingerprint(rows: list[dict[str, Any]]) -> str:
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _health(
    service: Emulator, first: date, last: date, seconds: float, request_count: int
) -> list[Line]:
    span = _within(first, last)
    truth = service.truth(
        "select start_time::date::varchar as day, coalesce(pipeline_id, '') as pipeline,"
        " count(*) filter (is_run) as runs, count(*) filter (is_run and status = 'failure') as errors,"
        " coalesce(sum(tokens), 0)::bigint as tokens from events"
        f" where is_run and entity = 'pipeline' and {span} group by all"
    )
    with duckdb.connect(str(HEALTH), read_only=True) as connection:
        rows = connection.sql(
            "select bucket_start::date::varchar as day, coalesce(pipeline_id, '') as pipeline, runs_sum as runs,"
            " errors_sum as errors, tokens_sum::bigint as tokens from pipeline_health"
            f" where bucket_start >= '{first}' and bucket_start < '{last + timedelta(days=1)}'"
        )
        landed = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]

    def total(rows: list[dict[str, Any]], name: str) -> int:
        return sum(row[name] for row in rows)  # two words

    return [
        Line(
            f"pipeline-days, {first} to {last}",
            len(truth),
            len(landed),
            f"{HEALTH}: pipeline_health",
            seconds,
        ),
        *(
            Line(f"{name}, summed", total(truth, name), total(landed, name), "")
            for name in ("runs", "errors", "tokens")
        ),
        Line(
            "figures, by content",
            _fingerprint(truth),
            _fingerprint(landed),
            "the same after every run",
        ),
        Line("requests for all of it", 1, request_count, "counted by the service"),
    ]


def _straight_from_files(service: Emulator, trace: list[Path]) -> list[Line]:
    tokens = requests = 0
    for path in trace:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                tokens += int(row["ContextTokens"]) + int(row["GeneratedTokens"])
                requests += 1
    start = datetime(2000, 1, 1, tzinfo=UTC)
    with Client(service.api_key, service.base_url) as client:
        query = client.query().where(start <= EventField.EVENT_START_TIME)
        return [
            Line(
                "requests in the trace files",
                requests,
                int(query.sum("runs")),
                "summed by the aggregation",
            ),
            Line(
                "tokens in the trace files",
                tokens,
                int(query.sum("tokens")),
                "summed by the aggregation",
            ),
        ]


def _print(lines: list[Line]) -> None:
    def shown(value: Any) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    table = [("", "truth", "landed", "", "seconds", "where")] + [
        (
            line.what,
            shown(line.truth),
            shown(line.landed),
            "same" if line.same else "DIFFERS",
            "" if line.seconds is None else f"{line.seconds:.1f}",
            line.where,
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in table) for column in range(6)]
    print()
    for row in table:
        cells = [
            cell.rjust(width) if i in (1, 2, 4) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    if shutil.which("airflow", path=str(stack.BIN)) is None:
        raise SystemExit("run this through `make demo`, which installs Airflow and Dagster first")
    sys.exit(main())
