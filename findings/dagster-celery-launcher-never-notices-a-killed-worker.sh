#!/usr/bin/env bash
# dagster-celery 0.29.27: run monitoring never notices that a Celery worker was killed.
#
# Expected: CeleryRunLauncher reports the health of its runs, so with run_monitoring on, a run whose
# worker is gone is marked as failed, and run_retries may start it anew.
# Seen: the launcher asks Celery for the task's state, and that stays STARTED when the whole worker
# dies (a killed container, a lost machine), because only a worker writes it. Monitoring takes it
# for healthy for ever. Where only the task's process is killed, its worker reports it, and that run
# fails at the next check.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  dagster==1.13.27 dagster-celery==0.29.27 celery==5.6.3
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=yes PATH="$folder/venv/bin:$PATH"
export C_FORCE_ROOT=1
mkdir home
celery="{broker: 'sqla+sqlite:///$folder/broker.sqlite', backend: 'db+sqlite:///$folder/results.sqlite'}"
cat >home/dagster.yaml <<YAML
run_launcher: {module: dagster_celery.launcher, class: CeleryRunLauncher, config: $celery}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
run_monitoring: {enabled: true, poll_interval_seconds: 2}
YAML
echo "execution: {config: $celery}" >celery.yaml
cat >jobs.py <<'PYTHON'
import os
import time
from pathlib import Path

import dagster as dg


@dg.op
def waits():
    Path("pid").write_text(str(os.getpid()))
    time.sleep(3600)


@dg.job(executor_def=dg.in_process_executor)
def waiting():
    waits()


defs = dg.Definitions(jobs=[waiting])
PYTHON
cat >status.py <<'PYTHON'
import time
from pathlib import Path

import dagster as dg

checked = "Checking run"


def checks(run):
    return Path("daemon.log").read_text(errors="replace").count(f"{checked} {run}")


with dg.DagsterInstance.get() as instance:
    run = instance.get_runs(limit=1)[0].run_id
    before = checks(run)
    for _ in range(600):
        status = instance.get_run_by_id(run).status.value
        if status == "FAILURE" or checks(run) - before >= 15:
            break
        time.sleep(1)
print(f"  {status} after", "15 checks" if status == "STARTED" else "less")
PYTHON
dagster-daemon run -f jobs.py >daemon.log 2>&1 &
daemon=$!
setsid dagster-celery worker start -A dagster_celery.app -y celery.yaml -- --concurrency 2 >worker.log 2>&1 &
worker=$!
trap 'kill -9 -$worker $daemon 2>/dev/null; wait; rm -rf "$folder"' EXIT
launch() {
  rm -f pid
  dagster job launch -f jobs.py -j waiting >launch.log 2>&1
  for _ in $(seq 600); do [[ -s pid ]] && return || sleep 1; done
  return 1
}
echo "dagster-celery 0.29.27, dagster 1.13.27, celery 5.6.3"
launch
kill -9 "$(cat pid)"
echo "the run's process was killed:"
process=$(python status.py | tee /dev/stderr)
launch
kill -9 -$worker
echo "the whole worker was killed:"
machine=$(python status.py | tee /dev/stderr)
[[ $process == *"FAILURE after less"* && $machine == *"STARTED after 15 checks"* ]]
