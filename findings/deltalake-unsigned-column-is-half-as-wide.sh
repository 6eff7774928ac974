#!/usr/bin/env bash
# deltalake 1.6.6: an unsigned column becomes a signed one of the same width, and fails on the day it is half full.
#
# Expected: Delta has no unsigned types, so uint8 is refused at once, or is stored in the next wider type, as
# ADBC's ingest into PostgreSQL does with uint8, uint16 and uint32.
# Seen: uint8 becomes BYTE. A table takes counts up to 127 for weeks; the first batch with 128 fails in a cast
# that names Int8, although nothing about its schema has changed. uint16, uint32 and uint64 behave alike at
# half of their range. Casting unsigned columns to int64 before the first write avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cat >counts.py <<'PYTHON'
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

seen = {}
for width in (8, 16, 32, 64):
    kind, half = getattr(pa, f"uint{width}")(), 2 ** (width - 1)
    path = f"counts_{width}"
    write_deltalake(path, pa.table({"retries": pa.array([half - 1], kind)}))
    stored = DeltaTable(path).schema().fields[0].type
    try:
        write_deltalake(path, pa.table({"retries": pa.array([half], kind)}), mode="append")
        seen[width] = False
    except Exception as error:
        seen[width] = True
        print(f"uint{width} is stored as {stored}; {half - 1} was taken, {half}: {error}")
assert all(seen.values())
PYTHON
echo "deltalake 1.6.6"
venv/bin/python counts.py
