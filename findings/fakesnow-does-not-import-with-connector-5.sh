#!/usr/bin/env bash
# fakesnow 0.12.1: pip installs it with snowflake-connector-python 5, and then it cannot be imported.
#
# Expected: what `pip install fakesnow[server]` brings works together; the package names the versions that it needs.
# Seen: it names no bound for the connector, so pip takes 5.2.0, which has no module `snowflake.connector.converter`, and
# `import fakesnow` fails. With `snowflake-connector-python<5` it imports.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'fakesnow[server]==0.12.1' snowflake-connector-python==5.2.0
told=$(venv/bin/python -c 'import fakesnow' 2>&1 | tail -1) || true
echo "fakesnow 0.12.1, snowflake-connector-python 5.2.0: $told"
venv/bin/pip check --disable-pip-version-check | tail -1
[[ $told == *"No module named 'snowflake.connector.converter'"* ]]
venv/bin/pip check --disable-pip-version-check >/dev/null
venv/bin/pip install --quiet --disable-pip-version-check 'snowflake-connector-python<5'
venv/bin/python -c 'import fakesnow; from importlib.metadata import version as v; print("imports with", v("snowflake-connector-python"))' 2>/dev/null
