#!/usr/bin/env bash
# deltalake 1.6.6: appending doubles to a BIGINT column cuts their fractions off and says nothing.
#
# Expected: an append whose column has another type is refused, as pyiceberg does, or widens the column where
# schema_mode="merge" asks for that. The same library refuses decimal(10, 4) for a decimal(10, 2) column.
# Seen: 1.7 and 2.9 are stored as 1 and 2, with schema_mode="merge" too. A table whose first night held whole
# numbers (a cost of 0, say) loses the fractions of every later night. Comparing DeltaTable.schema() with the
# schema of the batch before the write finds it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cat >append.py <<'PYTHON'
from decimal import Decimal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

lost = {}
for mode in (None, "merge"):
    write_deltalake(f"cost_{mode}", pa.table({"cost": [1]}))
    write_deltalake(
        f"cost_{mode}", pa.table({"cost": [1.7, 2.9]}), mode="append", schema_mode=mode
    )
    lost[mode] = sorted(DeltaTable(f"cost_{mode}").to_pyarrow_table()["cost"].to_pylist())
    print(f"schema_mode={mode}: wrote 1, then 1.7 and 2.9; the table holds {lost[mode]}")
write_deltalake("money", pa.table({"cost": pa.array([Decimal("1.25")], pa.decimal128(10, 2))}))
try:
    more = pa.table({"cost": pa.array([Decimal("1.2599")], pa.decimal128(10, 4))})
    write_deltalake("money", more, mode="append")
    refused = False
except Exception as error:
    refused = True
    print("decimal(10, 4) into decimal(10, 2):", error)
assert lost == {None: [1, 1, 2], "merge": [1, 1, 2]} and refused
PYTHON
echo "deltalake 1.6.6"
venv/bin/python append.py
