#!/usr/bin/env bash
# apache-airflow 3.2.2: installs beside fastapi 0.165.0, which its metadata allows, and then runs no task.
#
# Expected: what a fresh install resolves to has an execution API, through which every task talks.
# Seen: its routes cannot be imported: "Model 'TITerminalStatePayload' needs a discriminator field".
# `pip check` is content and DAGs parse, but `dag.test()` and workers fail. With fastapi 0.136.3 the same import works;
# Airflow 3.3 asks for fastapi<0.137, and Airflow's constraints file keeps to an old one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check apache-airflow==3.2.2 fastapi==0.165.0 cadwyn==9.0.0
venv/bin/pip check
export AIRFLOW_HOME="$folder/home"
cat >routes.py <<'PYTHON'
from importlib.metadata import version

fastapi = f"fastapi {version('fastapi')}:"
try:
    import airflow.api_fastapi.execution_api.routes
except Exception as error:
    print(fastapi, type(error).__name__, str(error).splitlines()[0])
else:
    print(fastapi, "imported")
PYTHON
with_new=$(venv/bin/python routes.py 2>/dev/null | tail -1)
echo "$with_new"
venv/bin/pip install --quiet --disable-pip-version-check fastapi==0.136.3 cadwyn==7.0.0
with_old=$(venv/bin/python routes.py 2>/dev/null | tail -1)
echo "$with_old"
case "$with_new" in
  "fastapi 0.165.0: PydanticUserError Model 'TITerminalStatePayload' needs a discriminator field"*) ;;
  *) echo "fastapi 0.165.0: not what it was"; exit 1 ;;
esac
case "$with_old" in
  "fastapi 0.136.3: imported") ;;
  *) echo "fastapi 0.136.3: not what it was"; exit 1 ;;
esac
