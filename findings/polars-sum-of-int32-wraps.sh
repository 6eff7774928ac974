#!/usr/bin/env bash
# polars 2.1.0: the sum of an Int32 column is an Int32, and wraps round without a word.
#
# Expected: sums are wider than what they add, as in DuckDB, PostgreSQL and pyarrow, and as in polars itself for Int8 and
# Int16, whose sums are Int64.
# Seen: two values whose sum is 2**31 add up to -2147483648, in `Series.sum` and in `group_by`. INTEGER
# columns of a database arrive as Int32: tokens of a month pass two thousand million soon.
# Casting to Int64 first adds right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check polars==2.1.0 duckdb==2.0.0 pyarrow==26.0.1
cat >tokens.py <<'PYTHON'
import duckdb
import polars as pl
import pyarrow.compute as pc

query = "SELECT 'gpt' AS model, CAST(x AS INTEGER) AS tokens FROM (VALUES (2147483647), (1)) v(x)"
table = duckdb.sql(query).to_arrow_table()
frame = pl.from_arrow(table)
sums = {
    "Series.sum": frame["tokens"].sum(),
    "group_by": frame.group_by("model").agg(pl.col("tokens").sum())["tokens"][0],
    "cast to Int64": frame["tokens"].cast(pl.Int64).sum(),
    "Int16": pl.Series([32767, 1], dtype=pl.Int16).sum(),
    "pyarrow": pc.sum(table["tokens"]).as_py(),
    "DuckDB": duckdb.sql(f"SELECT sum(tokens) FROM ({query})").fetchall()[0][0],
}
print(sums)
assert sums["Series.sum"] == sums["group_by"] == -(2**31)
assert sums["cast to Int64"] == sums["pyarrow"] == sums["DuckDB"] == 2**31 and sums["Int16"] == 2**15
PYTHON
echo "polars 2.1.0"
venv/bin/python tokens.py
