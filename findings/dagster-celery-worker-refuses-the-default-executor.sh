#!/usr/bin/env bash
# dagster-celery 0.29.27: a run that CeleryRunLauncher starts fails with Dagster's default executor.
#
# Expected: the launcher decides where a run executes, so a job with no executor of its own runs as
# it does under every other launcher.
# Seen: Celery's workers fork daemonic processes, which may have no children, and Dagster's default
# executor starts one for each step: AssertionError. Celery logs the task as succeeded all the same.
# With in_process_executor the same job succeeds.
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
YAML
echo "execution: {config: $celery}" >celery.yaml
cat >jobs.py <<'PYTHON'
import dagster as dg


@dg.op
def works():
    pass


@dg.job
def by_default():
    works()


@dg.job(executor_def=dg.in_process_executor)
def in_process():
    works()


defs = dg.Definitions(jobs=[by_default, in_process])
PYTHON
cat >end.py <<'PYTHON'
import sys
import time

import dagster as dg

with dg.DagsterInstance.get() as instance:
    for _ in range(600):
        (run,) = instance.get_runs(dg.RunsFilter(job_name=sys.argv[1]))
        if run.is_finished:
            break
        time.sleep(1)
    entries = instance.all_logs(run.run_id)
    errors = [str(each.dagster_event.event_specific_data.error) for each in entries if each.dagster_event and each.dagster_event.is_run_failure]
    reason = [line for error in errors for line in error.splitlines() if "daemonic" in line]
print(f"  {sys.argv[1]}: {run.status.value}", *reason[:1])
PYTHON
setsid dagster-celery worker start -A dagster_celery.app -y celery.yaml -- --concurrency 1 >worker.log 2>&1 &
worker=$!
trap 'kill -9 -$worker 2>/dev/null; wait; rm -rf "$folder"' EXIT
echo "dagster-celery 0.29.27, dagster 1.13.27, celery 5.6.3"
for job in by_default in_process; do
  dagster job launch -f jobs.py -j $job >launch.log 2>&1
done
default=$(python end.py by_default | tee /dev/stderr)
in_process=$(python end.py in_process | tee /dev/stderr)
succeeded=$(grep -c "Task execute_job.*succeeded" worker.log)
echo "  tasks that Celery logs as succeeded: $succeeded"
[[ $default == *"FAILURE"*"daemonic processes are not allowed to have children"* ]]
[[ $in_process == *"SUCCESS"* ]]
