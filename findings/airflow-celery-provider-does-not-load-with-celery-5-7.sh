#!/usr/bin/env bash
# apache-airflow-providers-celery 3.26.0: cannot be imported with celery 5.7.0, which its own metadata allows.
#
# Expected: the provider asks for celery>=5.5.0,<6, so what a fresh install resolves to runs.
# Seen: celery 5.7.0 no longer has `retry` in celery.backends.database, which the executor imports: ImportError.
# The scheduler ends at its start and says only that "the module/attribute could not be loaded" and to check the `executor` key.
# With celery 5.6.3 the same import works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  apache-airflow==3.3.2 apache-airflow-providers-celery==3.26.0 celery==5.7.0
export AIRFLOW_HOME="$folder/home" AIRFLOW__CORE__EXECUTOR=CeleryExecutor
cat >load.py <<'PYTHON'
from importlib.metadata import version

from airflow.executors.executor_loader import ExecutorLoader

celery = f"celery {version('celery')}:"
try:
    ExecutorLoader.get_default_executor_name()
    executor, _ = ExecutorLoader.import_default_executor_cls()
except Exception as error:
    print(celery, type(error).__name__, error)
else:
    print(celery, "loaded", executor.__name__)
PYTHON
venv/bin/pip check
with_new=$(venv/bin/python load.py 2>/dev/null | tail -1)
echo "$with_new"
venv/bin/pip install --quiet --disable-pip-version-check celery==5.6.3
with_old=$(venv/bin/python load.py 2>/dev/null | tail -1)
echo "$with_old"
case "$with_new" in
  "celery 5.7.0: ImportError cannot import name 'retry'"*) ;;
  *) echo "celery 5.7.0: not what it was"; exit 1 ;;
esac
case "$with_old" in
  "celery 5.6.3: loaded CeleryExecutor") ;;
  *) echo "celery 5.6.3: not what it was"; exit 1 ;;
esac
