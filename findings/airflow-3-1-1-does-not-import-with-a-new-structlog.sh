#!/usr/bin/env bash
# apache-airflow 3.1.1: a fresh install without constraints cannot be imported, because of the structlog that it allows.
#
# Expected: its metadata asks for structlog>=25.4.0 without an upper bound, so what a fresh install resolves to runs.
# Seen: structlog 25.5.0 no longer has `Styles` in structlog.dev, which Airflow's logging imports: `import airflow` is an ImportError.
# `pip check` finds nothing wrong. Airflow 3.1.2 imports with the same structlog.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export AIRFLOW_HOME="$folder/home"
python3 -m venv venv
imported() {
  venv/bin/pip install --quiet --disable-pip-version-check "apache-airflow==$1" structlog==25.5.0
  venv/bin/pip check >/dev/null
  echo "apache-airflow $1: $(venv/bin/python -c 'import airflow; print("imported")' 2>&1 | tail -1)"
}
broken=$(imported 3.1.1)
echo "$broken"
mended=$(imported 3.1.2)
echo "$mended"
case "$broken" in
  "apache-airflow 3.1.1: ImportError: cannot import name 'Styles' from 'structlog.dev'"*) ;;
  *) echo "apache-airflow 3.1.1: not what it was"; exit 1 ;;
esac
[ "$mended" = "apache-airflow 3.1.2: imported" ] || { echo "apache-airflow 3.1.2: not what it was"; exit 1; }
