#!/usr/bin/env bash
# dagster-postgres 0.29.27: as installed with SQLAlchemy 2.1 it opens no storage.
#
# Expected: dagster-postgres brings psycopg2 and accepts any SQLAlchemy below 3, so its storage as
# documented (postgres_db, or an address that begins with postgresql://) opens.
# Seen: since SQLAlchemy 2.1 such an address means psycopg 3, which nothing installs:
# ModuleNotFoundError, while `pip check` finds nothing. With scheme postgresql+psycopg2 the driver
# that was installed is used (the connection is then refused here, because no server listens).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  dagster==1.13.27 dagster-postgres==0.29.27 sqlalchemy==2.1.9
venv/bin/pip check
export DAGSTER_DISABLE_TELEMETRY=yes
cat >open.py <<'PYTHON'
import sys
from pathlib import Path
from tempfile import mkdtemp

import dagster as dg

home = Path(mkdtemp(dir="."))
server = "username: u, password: p, hostname: 127.0.0.1, db_name: d, port: 1"
(home / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_db: {{{server}{sys.argv[1]}}}}}}}\n")
try:
    dg.DagsterInstance.from_config(str(home))
except Exception as error:
    while error.__cause__:
        error = error.__cause__
    print(" ", type(error).__name__, str(error).splitlines()[0])
PYTHON
echo "dagster-postgres 0.29.27, sqlalchemy 2.1.9, as documented:"
plain=$(venv/bin/python open.py "" 2>/dev/null | tee /dev/stderr)
echo "with scheme: postgresql+psycopg2:"
named=$(venv/bin/python open.py ", scheme: postgresql+psycopg2" 2>/dev/null | tee /dev/stderr)
[[ $plain == *"ModuleNotFoundError No module named 'psycopg'"* && $named == *"OperationalError connection to server"* ]]
