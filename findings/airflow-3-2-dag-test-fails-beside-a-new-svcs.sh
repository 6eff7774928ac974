#!/usr/bin/env bash
# apache-airflow 3.2.2: installs beside svcs 26.2.0, which its metadata allows, and then `dag.test()` runs no task.
#
# Expected: the simplest DAG ends in success.
# Seen: its task fails with "'State' object has no attribute 'svcs_registry'", a reply 500 of the API in the process, whatever
# the DAG. Airflow keeps nothing that holds the API's lifespan, which is closed as soon as it is collected; svcs up to 25.1.0
# left its registry behind then, and 26.2.0 takes it away. With svcs 25.1.0 the same DAG succeeds; Airflow 3.3 keeps the
# lifespan, and Airflow's constraints file keeps to an old svcs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check apache-airflow==3.2.2 fastapi==0.136.3 cadwyn==7.0.0 svcs==26.2.0
venv/bin/pip check
export AIRFLOW_HOME="$folder/home" AIRFLOW__CORE__LOAD_EXAMPLES=false
export AIRFLOW__CORE__DAGS_FOLDER="$folder/dags"
mkdir -p dags
cat >dags/one.py <<'PYTHON'
from importlib.metadata import version

from airflow.sdk import dag, task


@dag(schedule=None)
def one():
    @task
    def hello():
        return 1

    hello()


ran = one()
if __name__ == "__main__":
    print(f"svcs {version('svcs')}:", ran.test().state)
PYTHON
venv/bin/python -m airflow db migrate >/dev/null 2>&1
venv/bin/python dags/one.py >new.log 2>&1
with_new=$(grep '^svcs ' new.log)
echo "$with_new" "$(grep -o -m 1 "no attribute 'svcs_registry'" new.log)"
venv/bin/pip install --quiet --disable-pip-version-check svcs==25.1.0
with_old=$(venv/bin/python dags/one.py 2>/dev/null | grep '^svcs ')
echo "$with_old"
[ "$with_new" = "svcs 26.2.0: failed" ] || { echo "svcs 26.2.0: not what it was"; exit 1; }
[ "$with_old" = "svcs 25.1.0: success" ] || { echo "svcs 25.1.0: not what it was"; exit 1; }
