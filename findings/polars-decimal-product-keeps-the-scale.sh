#!/usr/bin/env bash
# polars 2.1.0: the product of two decimals has the scale of the wider one, so cents times rates lose digits.
#
# Expected: the scales of a product add up, as in SQL, in pyarrow and in Python: 0.10 * 0.25 is 0.0250.
# Seen: 0.10 * 0.25 is 0.02, and 1.00 / 3.00 is 0.33. Tokens times a price of decimal(18, 6) loses all below a
# millionth in each row, before anything is summed. Casting the operands to a larger scale first keeps the digits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check polars==2.1.0 duckdb==2.0.0 pyarrow==26.0.1
cat >money.py <<'PYTHON'
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

price, rate = Decimal("0.10"), Decimal("0.25")
left, right = pl.Series([price]), pl.Series([rate])
wide = (left.cast(pl.Decimal(38, 4)) * right.cast(pl.Decimal(38, 4)))[0]
seen = {
    "polars": (left * right)[0],
    "polars, cast to scale 4": wide,
    "pyarrow": pc.multiply(pa.array([price]), pa.array([rate]))[0].as_py(),
    "DuckDB": duckdb.sql("SELECT 0.10 * 0.25").fetchall()[0][0],
    "Python": price * rate,
}
for name, value in seen.items():
    print(f"0.10 * 0.25 in {name}: {value}")
assert seen.pop("polars") == Decimal("0.02")
assert set(seen.values()) == {Decimal("0.025")}
PYTHON
echo "polars 2.1.0"
venv/bin/python money.py
