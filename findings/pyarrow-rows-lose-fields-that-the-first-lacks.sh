#!/usr/bin/env bash
# pyarrow 26.0.1: `Table.from_pylist` takes its columns from the first row; a field that comes later is dropped.
#
# Expected: the columns are those of all rows, as in pandas, as in pyarrow's own JSON reader, and as the types
# already are, which do come from all rows.
# Seen: no error and no column. Events carry `error_message` only where they failed, so a page that begins with a
# success has no messages. A schema of one's own, or `pa.array(rows).flatten()`, keeps them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyarrow==26.0.1
cat >fields.py <<'PYTHON'
import io
import json

import pyarrow as pa
from pyarrow import json as arrow_json

rows = [{"run": 1}, {"run": 2, "error_message": "quota"}, {"run": 2.5}]
table = pa.Table.from_pylist(rows)
lines = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
print("rows:", rows)
print("Table.from_pylist:", table.column_names, table["run"].to_pylist())
print("pyarrow.json:", arrow_json.read_json(lines).column_names)
print("pa.array:", [field.name for field in pa.array(rows).type])
assert table.column_names == ["run"] and table["run"].to_pylist() == [1, 2, 2.5]
assert {field.name for field in pa.array(rows).type} == {"run", "error_message"}
PYTHON
echo "pyarrow 26.0.1"
venv/bin/python fields.py
