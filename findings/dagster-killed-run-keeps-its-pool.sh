#!/usr/bin/env bash
# Dagster 1.13.27: the pool slot of a run whose process was killed is never given back.
#
# Expected: a run that has ended holds nothing; once it is marked failed, the next run may enter its pool.
# Seen: the slot stays claimed by the failed run, and every later run of the pool waits for ever,
# the failed run's own retry included. `run_monitoring: {enabled: true,
# free_slots_after_run_end_seconds: 60}` in dagster.yaml lets the daemon give it back; by default
# nobody does. The pool's limit comes from `concurrency.pools.default_limit`, granularity `op`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dagster==1.13.27
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=yes
mkdir home
cat >home/dagster.yaml <<'YAML'
concurrency: {pools: {default_limit: 1, granularity: op}}
YAML
cat >assets.py <<'PYTHON'
import os
import signal

import dagster as dg


@dg.asset(pool="files")
def killed():
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out


@dg.asset(pool="files")
def next_one():
    pass


defs = dg.Definitions([killed, next_one], executor=dg.in_process_executor)
PYTHON
cat >fail.py <<'PYTHON'
import dagster as dg

with dg.DagsterInstance.get() as instance:
    (run,) = instance.get_runs()
    instance.report_run_failed(run, "as the launcher does when the process is gone")
    (run,) = instance.get_runs()
    pool = instance.event_log_storage.get_concurrency_info("files")
    print("run:", run.status.value, "| slots claimed in the pool:", pool.active_slot_count)
PYTHON

status=0
venv/bin/dagster asset materialize -f assets.py --select killed >killed.log 2>&1 || status=$?
echo "dagster 1.13.27: the first run's process ended with $status (137 is SIGKILL)"
told=$(venv/bin/python fail.py)
echo "$told"
venv/bin/dagster asset materialize -f assets.py --select next_one >next.log 2>&1 &
next=$!
until grep --quiet "blocked by" next.log || ! kill -0 $next 2>/dev/null; do sleep 1; done
grep --only-matching "blocked by.*" next.log | head -1
sleep 60
waits=no
kill -KILL $next 2>/dev/null && waits=yes
echo "the next run of the pool still waits after 60 s: $waits"
[[ $told == "run: FAILURE | slots claimed in the pool: 1" && $waits == yes ]]
