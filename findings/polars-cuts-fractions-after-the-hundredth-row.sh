#!/usr/bin/env bash
# polars 2.1.0: a frame made of dicts cuts the fractions off every number after the hundredth row, silently.
#
# Expected: `strict=True` is the default, so a value that does not fit the column's type is an error, as it is
# when one reads the same rows as JSON ("cannot parse '1.5' (f64) as Int64").
# Seen: the types come from the first 100 rows. If these hold whole numbers only, 1.5 in row 201 becomes 1, and a field
# that first appears there is not in the frame. Pages of events are such rows: the first hundred cost 0.
# `infer_schema_length=None` or a schema of one's own reads them right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check polars==2.1.0
cat >rows.py <<'PYTHON'
import io
import json

import polars as pl

rows = [{"cost": 0}] * 200 + [{"cost": 1.5}]
seen = [pl.DataFrame(rows, strict=True)["cost"].sum(), pl.from_dicts(rows)["cost"].sum()]
whole = pl.DataFrame(rows, infer_schema_length=None)["cost"].sum()
print(f"sum of 200 times 0 and once 1.5: {seen}; with infer_schema_length=None: {whole}")
try:
    pl.read_ndjson(io.BytesIO("\n".join(map(json.dumps, rows)).encode()))
    refused = False
except pl.exceptions.ComputeError as error:
    refused = True
    print("the same rows as JSON lines:", str(error).splitlines()[0])
assert seen == [1, 1] and whole == 1.5 and refused
PYTHON
echo "polars 2.1.0"
venv/bin/python rows.py
