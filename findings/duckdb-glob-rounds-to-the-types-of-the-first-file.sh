#!/usr/bin/env bash
# DuckDB 2.0.0: reading many Parquet files at once rounds doubles to whole numbers where the first file has integers.
#
# Expected: a file whose column has another type is an error, as in pyarrow ("Float value 1.7 was truncated") and
# polars ("data type mismatch"), or the column becomes wide enough for all.
# Seen: the types of the file whose name comes first hold for all of them: 1.7 is read as 2, with no warning. Files by day,
# whose first day had whole numbers only, are summed wrong. `union_by_name=true` finds the wider type.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1 polars==2.1.0
mkdir days
cat >sums.py <<'PYTHON'
import duckdb
import polars as pl
import pyarrow as pa
from pyarrow import parquet

parquet.write_table(pa.table({"cost": [1]}), "days/2026-11-01.parquet")
parquet.write_table(pa.table({"cost": [1.7]}), "days/2026-11-02.parquet")
first = duckdb.sql("SELECT sum(cost) FROM 'days/*.parquet'").fetchall()[0][0]
union = duckdb.sql("SELECT sum(cost) FROM read_parquet('days/*.parquet', union_by_name=true)")
union = union.fetchall()[0][0]
refused = 0
for name, read in (("pyarrow", lambda: parquet.read_table("days")), ("polars", lambda: pl.read_parquet("days/*.parquet"))):
    try:
        read()
    except Exception as error:
        refused += 1
        print(f"{name}: {str(error).splitlines()[0]}")
print(f"1 and 1.7 add up to {first} in DuckDB, to {union} with union_by_name")
assert first == 3 and union == 2.7 and refused == 2
PYTHON
echo "DuckDB 2.0.0"
venv/bin/python sums.py
