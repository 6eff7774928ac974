#!/usr/bin/env bash
# Dagster 1.13.27: a run launched by `dagster job backfill` says that it will be retried, and never is.
#
# Expected: with run retries on, a run that fails is retried, whatever launched it; its tag
# dagster/will_retry says so.
# Seen: the command marks its backfill COMPLETED as soon as the runs are launched, and the daemon
# retries no run of a backfill that has ended. The run keeps dagster/will_retry: true, which also is
# what alerts wait for that leave out runs that will be retried. The same partition launched by
# `dagster job launch --tags ...` is retried.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dagster==1.13.27
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=yes PATH="$folder/venv/bin:$PATH"
mkdir home
cat >home/dagster.yaml <<'YAML'
run_retries: {enabled: true, max_retries: 1}
YAML
cat >jobs.py <<'PYTHON'
import dagster as dg


@dg.op
def fails():
    raise dg.Failure("on purpose")


@dg.job(partitions_def=dg.StaticPartitionsDefinition(["a"]))
def failing():
    fails()


defs = dg.Definitions(jobs=[failing])
PYTHON
cat >wait.py <<'PYTHON'
import sys
import time

import dagster as dg

with dg.DagsterInstance.get() as instance:
    tag = sys.argv[1]

    def first():
        return [run for run in instance.get_runs() if tag in run.tags and not run.parent_run_id]

    while not (first() and first()[0].is_finished):
        time.sleep(1)
    for _ in range(40):
        time.sleep(1)
        retries = [run for run in instance.get_runs() if run.parent_run_id == first()[0].run_id]
    (run,) = first()
    for entry in instance.all_logs(run.run_id):
        if entry.message.startswith("Not retrying"):
            print(" ", entry.message)
    print(" ", run.status.value, "will_retry:", run.tags.get("dagster/will_retry"), "retries:", len(retries))
PYTHON
dagster-daemon run -f jobs.py >daemon.log 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || true; rm -rf "$folder"' EXIT
until grep --quiet EventLogConsumer daemon.log || ! kill -0 $daemon; do sleep 1; done
sleep 10
echo "dagster 1.13.27"
dagster job backfill -f jobs.py -j failing --all --noprompt >backfill.log 2>&1
echo "by dagster job backfill:"
backfilled=$(python wait.py dagster/backfill | tee /dev/stderr)
dagster job launch -f jobs.py -j failing --tags '{"by": "hand", "dagster/partition": "a"}' >launch.log 2>&1
echo "by dagster job launch:"
launched=$(python wait.py by | tee /dev/stderr)
[[ $backfilled == *"will_retry: true retries: 0"* && $launched == *"will_retry: true retries: 1"* ]]
