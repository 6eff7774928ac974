#!/usr/bin/env bash
# DuckDB 2.0.0: an open transaction keeps every Arrow table that it has read in memory, outside of memory_limit.
#
# Expected: rows of a registered Arrow table are in the database once INSERT has returned; after `unregister`,
# with no reference of one's own left, the Arrow memory is free again, and memory_limit bounds what is used.
# Seen: all of it stays allocated until COMMIT. A load in pieces, in one transaction, needs memory for the whole
# load. Without a transaction around them the pieces are freed at once, and so is a RecordBatchReader over an
# iterator, which holds nothing any more once it is read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1
cat >load.py <<'PYTHON'
import duckdb
import pyarrow as pa

ROWS, PIECES = 100_000, 40


def held(as_stream: bool, in_transaction: bool) -> int:
    """MiB of Arrow memory that are still allocated after all pieces were inserted and let go."""
    before = pa.total_allocated_bytes()
    connection = duckdb.connect("load.duckdb", config={"memory_limit": "100MB"})
    connection.execute("CREATE OR REPLACE TABLE numbers (n BIGINT)")
    if in_transaction:
        connection.begin()
    for _ in range(PIECES):
        piece = pa.table({"n": pa.array(range(ROWS), pa.int64())})
        if as_stream:
            piece = pa.RecordBatchReader.from_batches(piece.schema, iter(piece.to_batches()))
        connection.register("incoming", piece)
        connection.execute("INSERT INTO numbers SELECT * FROM incoming")
        connection.unregister("incoming")
        del piece
    still = pa.total_allocated_bytes() - before
    if in_transaction:
        connection.commit()
    connection.close()
    return still >> 20


tables, streams, apart = held(False, True), held(True, True), held(False, False)
print(f"duckdb {duckdb.__version__}: {ROWS * PIECES * 8 >> 20} MiB went in, and before COMMIT are still held:")
print(f"  tables in a transaction   {tables} MiB")
print(f"  streams in a transaction  {streams} MiB")
print(f"  tables without one        {apart} MiB")
raise SystemExit(0 if tables >= 25 and streams <= 2 and apart <= 2 else 1)
PYTHON
venv/bin/python load.py
