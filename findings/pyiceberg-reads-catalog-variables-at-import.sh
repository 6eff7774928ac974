#!/usr/bin/env bash
# pyiceberg 0.12.0: PYICEBERG_CATALOG__* that are set after the import are not seen, and the error asks for the very variable.
#
# Expected: `load_catalog("late")` finds the catalog that the environment describes when it is called, as boto3 and
# others find theirs: orchestrators and notebooks set the variables of a task once the libraries are loaded.
# Seen: "URI missing, please provide using --uri, the config or environment variable PYICEBERG_CATALOG__LATE__URI", while that
# variable is set. The module reads the environment once, when it is imported; a `Config()` of one's own reads it anew, and its
# answer, given to `load_catalog` as properties, opens the catalog.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyiceberg[sql-sqlite]==0.12.0'
cat >late.py <<'PYTHON'
import os

import pyiceberg
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config

os.environ["PYICEBERG_CATALOG__LATE__TYPE"] = "sql"
os.environ["PYICEBERG_CATALOG__LATE__URI"] = "sqlite:///late.db"
try:
    load_catalog("late")
    told = "found"
except ValueError as problem:
    told = str(problem)
anew = Config().get_catalog_config("late")
print(f"pyiceberg {pyiceberg.__version__}")
print(f"  load_catalog('late'):             {told}")
print(f"  Config().get_catalog_config:      {anew}")
print(f"  load_catalog with these:          {type(load_catalog('late', **anew)).__name__}")
raise SystemExit(0 if told.startswith("URI missing") and anew else 1)
PYTHON
venv/bin/python late.py
