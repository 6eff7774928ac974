"""Each database and lake: our replacement of a window, beside the best plain load of the same rows

    python benchmarks/bench_databases.py [--quick]

The rows are an Arrow table of exported events (27 columns). *Plain* is what a hand that knows the database would write
from there: COPY of a CSV text, `adbc_ingest`, INSERT out of Arrow, LOAD DATA LOCAL INFILE, `executemany`, `write_deltalake`,
pyiceberg's `append`; no lock, fence, DELETE, check, count or ledger. Both are measured on a table that is there: ours
replaces its window with as many rows, plain loads them into an emptied table. Memory is the growth of the process beside
the rows. Snowflake is left out, because the server that the tests have is no Snowflake.
"""

import io
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import OURS, Claim, arguments, in_turn, print_figures, resident, tell

ROWS, ROUNDS = 100_000, 3
QUICK_ROWS = 10_000


def main() -> None:
    options = arguments(__doc__)
    if options.way:
        kind, address, rows = options.rest
        print_figures(**measured(options.way, kind, address, int(rows)))
        return
    rows, rounds = (QUICK_ROWS, 1) if options.quick else (ROWS, ROUNDS)
    lines = []
    with TemporaryDirectory(prefix="bench-databases-") as folder, servers() as addresses:
        for kind in PLAIN:
            address = addresses.get(kind, str(Path(folder, kind)))
            found = in_turn(__file__, {"ours": OURS, "plain": OURS}, rounds, kind, address, rows)
            ours, plain = found["ours"], found["plain"]
            ratio = ours["seconds"] / plain["seconds"]
            rates = {name: rows / each["seconds"] for name, each in found.items()}
            lines.append(
                f"| {kind} | {rates['ours']:,.0f} | {rates['plain']:,.0f} | {ratio:.2f} | "
                f"{ours['mebibytes']:.0f} | {plain['mebibytes']:.0f} |"
            )
            figures = ", ".join(
                f"{name} {rates[name]:,.0f} rows/s and {each['mebibytes']:.0f} MiB"
                for name, each in found.items()
            )
            what = f"replace a window of {rows:,} rows: {kind}"
            tell(Claim(what, ratio, "x plain", figures=figures))
    print("| | ours, rows/s | plain, rows/s | our time / plain | ours, MiB | plain, MiB |")
    print("\n".join(["|---|---|---|---|---|---|", *lines]))


@contextmanager
def servers():
    """Addresses of the servers that are needed, which run meanwhile."""
    from tests import mariadb
    from tests.postgres import schemas

    with schemas() as postgres, mariadb.server() as port:
        with closing(mariadb.by_pymysql(port)) as connection:
            connection.cursor().execute("CREATE DATABASE bench")
        yield {
            "psycopg": postgres.new(),
            "psycopg2": postgres.new(),
            "ADBC": postgres.new(),
            "MariaDB": str(port),
        }


def measured(way: str, kind: str, address: str, rows: int) -> dict[str, float]:
    """Seconds of a load whose table is there, and the MiB that it and the one that made the table needed at most."""
    from bench_sql import BATCH_ROWS, events

    table = events(rows)
    load = _ours(kind, address, table, BATCH_ROWS) if way == "ours" else PLAIN[kind](address, table)
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    load()
    began = time.perf_counter()
    load()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "mebibytes": resident("VmHWM") - before}


def _ours(kind, address, table, batch_rows) -> Callable[[], None]:
    from tests.orchestration.rows import DAY
    from vectorshift_orchestration.storage.sql import overwrite_window
    from vectorshift_orchestration.tables import EVENT_TIME

    connection = CONNECT[kind](address)

    def load() -> None:
        overwrite_window(
            connection,
            "ours",
            DAY,
            table.to_batches(max_chunksize=batch_rows),
            schema=table.schema,
            time_column=EVENT_TIME,
        )

    return load


def _psycopg(address):
    import psycopg

    return psycopg.connect(address)


def _psycopg2(address):
    import psycopg2

    return psycopg2.connect(address)


def _adbc(address):
    from adbc_driver_postgresql import dbapi

    from tests.orchestration.conftest import uri

    return dbapi.connect(uri(address))


def _duckdb(address):
    import duckdb

    return duckdb.connect(f"{address}.duckdb")


def _sqlite(address):
    import sqlite3

    return sqlite3.connect(f"{address}.sqlite")


def _mariadb(port):
    from tests import mariadb

    return mariadb.by_pymysql(int(port), database="bench", local_infile=True)


def _delta(address):
    from vectorshift_orchestration.storage.delta import DeltaLake

    return DeltaLake(address)


def _catalog(address):
    from pyiceberg.catalog import load_catalog

    Path(address).mkdir(exist_ok=True)
    options = {"uri": f"sqlite:///{address}/catalog.db", "warehouse": f"file://{address}/tables"}
    return load_catalog("bench", type="sql", **options)


def _iceberg(address):
    from vectorshift_orchestration.storage.iceberg import IcebergLake

    return IcebergLake(_catalog(address))


CONNECT = {
    "psycopg": _psycopg,
    "psycopg2": _psycopg2,
    "ADBC": _adbc,
    "DuckDB": _duckdb,
    "MariaDB": _mariadb,
    "SQLite": _sqlite,
    "Delta": _delta,
    "Iceberg": _iceberg,
}


def _csv(table) -> io.BytesIO:
    """As COPY and LOAD DATA read it: NULL is an empty field without quotes."""
    import pyarrow as pa
    from pyarrow import csv

    text = io.BytesIO()
    naive = pa.timestamp("us")
    for field in table.schema:
        if pa.types.is_timestamp(field.type):
            place = table.schema.get_field_index(field.name)
            table = table.set_column(place, field.name, table.column(field.name).cast(naive))
    csv.write_csv(table, text, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    text.seek(0)
    return text


def _postgres_table(connection, table) -> None:
    from vectorshift_orchestration.storage.postgres_types import column_type

    columns = ", ".join(f"{field.name} {column_type(field)}" for field in table.schema)
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS plain ({columns})")
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def plain_copy(connect, copy):
    """COPY of a CSV text by psycopg or psycopg2."""

    def plain(address, table):
        connection = connect(address)
        _postgres_table(connection, table)

        def load():
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE plain")
                copy(cursor, "COPY plain FROM STDIN (FORMAT csv)", _csv(table))
            connection.commit()

        return load

    return plain


def _by_psycopg(cursor, statement, text):
    with cursor.copy(statement) as copy:
        copy.write(text.getbuffer())


def plain_adbc(address, table):
    connection = _adbc(address)
    _postgres_table(connection, table)

    def load():
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE plain")
            cursor.adbc_ingest("plain", table, mode="append")
        connection.commit()

    return load


def plain_duckdb(address, table):
    connection = _duckdb(address)
    connection.register("rows", table)
    connection.execute("CREATE TABLE IF NOT EXISTS plain AS FROM rows LIMIT 0")

    def load():
        connection.execute("BEGIN; DELETE FROM plain")
        connection.execute("INSERT INTO plain FROM rows")
        connection.execute("COMMIT")

    return load


def plain_mariadb(port, table):
    from vectorshift_orchestration.storage.mysql_types import column_type

    connection = _mariadb(port)
    columns = ", ".join(f"{field.name} {column_type(field)}" for field in table.schema)
    connection.cursor().execute(f"CREATE TABLE IF NOT EXISTS plain ({columns})")
    names = table.schema.names
    into = ", ".join(f"@{name}" for name in names)
    kept = ", ".join(f"{name} = NULLIF(@{name}, '')" for name in names)

    def load():
        with TemporaryDirectory() as folder, connection.cursor() as cursor:
            path = Path(folder, "rows.csv")
            path.write_bytes(_csv(table).getbuffer())
            cursor.execute("DELETE FROM plain")
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE plain CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' "
                f"LINES TERMINATED BY '\\n' ({into}) SET {kept}"
            )
        connection.commit()

    return load


def plain_sqlite(address, table):
    connection = _sqlite(address)
    connection.execute(f"CREATE TABLE IF NOT EXISTS plain ({', '.join(table.schema.names)})")
    marks = ", ".join("?" * len(table.schema))

    def load():
        import pyarrow as pa

        columns = [
            column.cast(pa.string()) if pa.types.is_timestamp(column.type) else column
            for column in table.columns
        ]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        connection.execute("DELETE FROM plain")
        connection.executemany(f"INSERT INTO plain VALUES ({marks})", rows)
        connection.commit()

    return load


def plain_delta(address, table):
    from deltalake import write_deltalake

    return lambda: write_deltalake(f"{address}-plain", table, mode="overwrite")


def plain_iceberg(address, table):
    catalog = _catalog(f"{address}-plain")
    catalog.create_namespace_if_not_exists("default")
    made = catalog.create_table_if_not_exists("default.plain", table.schema)
    return lambda: made.append(table)


PLAIN = {
    "psycopg": plain_copy(_psycopg, _by_psycopg),
    "psycopg2": plain_copy(_psycopg2, lambda cursor, *what: cursor.copy_expert(*what)),
    "ADBC": plain_adbc,
    "DuckDB": plain_duckdb,
    "MariaDB": plain_mariadb,
    "SQLite": plain_sqlite,
    "Delta": plain_delta,
    "Iceberg": plain_iceberg,
}

if __name__ == "__main__":
    main()
