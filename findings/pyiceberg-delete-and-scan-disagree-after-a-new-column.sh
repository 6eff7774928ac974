#!/usr/bin/env bash
# pyiceberg 0.12.0: after a column was added, `delete(filter)` leaves rows that `scan(filter)` returns.
#
# Expected: one filter means the same rows, whoever evaluates it. Two rows without a status differ in nothing
# that a reader can see, be the value NULL or be the file older than the column.
# Seen: `status != 'failure'` scans the row of the older file and not the row with a NULL, which the newer
# file holds; a delete with the same filter removes neither. A check that counts first and deletes then
# does not add up. `status is null` treats both alike, in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "pyiceberg[sql-sqlite,pyarrow]==0.12.0" pyarrow==26.0.1
cat >filters.py <<'PYTHON'
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

catalog = SqlCatalog("local", uri="sqlite:///catalog.db", warehouse="file://.")
catalog.create_namespace("runs")


def evolved(name):
    """Run 1 was written before the column, runs 2 and 3 after it."""
    first = pa.table({"run": [1]})
    table = catalog.create_table(f"runs.{name}", schema=first.schema)
    table.append(first)
    with table.update_schema() as update:
        update.union_by_name(pa.schema([("run", pa.int64()), ("status", pa.string())]))
    table.append(pa.table({"run": [2, 3], "status": ["failure", None]}))
    return table


seen = {}
for name, condition in (("other", "status != 'failure'"), ("none", "status is null")):
    table = evolved(name)
    scanned = sorted(table.scan(condition).to_arrow()["run"].to_pylist())
    table.delete(condition)
    deleted = {1, 2, 3} - set(table.scan().to_arrow()["run"].to_pylist())
    seen[condition] = (scanned, sorted(deleted))
    print(f"{condition}: scan returns runs {scanned}, delete removes {sorted(deleted)}")
assert seen == {"status != 'failure'": ([1], []), "status is null": ([1, 3], [1, 3])}
PYTHON
echo "pyiceberg 0.12.0"
venv/bin/python filters.py 2>/dev/null
