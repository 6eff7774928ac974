#!/usr/bin/env bash
# fakesnow 0.12.1: its server answers 1970-01-01 for a timestamp that is NULL.
#
# Expected: NULL comes back as None through Snowflake's connector, as it does for a number beside it.
# Seen: TIMESTAMP_NTZ, TIMESTAMP_LTZ and TIMESTAMP_TZ that are NULL come back as 1970-01-01 00:00, while `IS NULL` is true
# for them in the server. A test that looks at rows only cannot tell a missing time from the epoch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'fakesnow[server]==0.12.1' snowflake-connector-python==4.8.1
cat >missing.py <<'PYTHON'
from datetime import datetime
from importlib.metadata import version

import fakesnow
import snowflake.connector

KINDS = ("TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ")
with fakesnow.server() as options:
    connection = snowflake.connector.connect(**options, database="D", schema="S")
    cursor = connection.cursor()
    columns = ", ".join(f"C{place} {kind}" for place, kind in enumerate(KINDS))
    cursor.execute(f"CREATE TABLE MISSING (N NUMBER(19, 0), {columns})")
    cursor.execute("INSERT INTO MISSING VALUES (NULL, NULL, NULL, NULL)")
    (number, *times), = cursor.execute("SELECT * FROM MISSING").fetchall()
    ((absent,),) = cursor.execute("SELECT COUNT(*) FROM MISSING WHERE C0 IS NULL").fetchall()
    connection.close()
print(f"fakesnow {version('fakesnow')}, connector {version('snowflake-connector-python')}")
print(f"  NUMBER: {number}; rows whose time IS NULL: {absent}")
for kind, time in zip(KINDS, times, strict=True):
    print(f"  {kind}: {time}")
epoch = [isinstance(time, datetime) and time.year == 1970 for time in times]
raise SystemExit(0 if number is None and absent == 1 and all(epoch) else 1)
PYTHON
venv/bin/python missing.py 2>log || { cat log; exit 1; }
