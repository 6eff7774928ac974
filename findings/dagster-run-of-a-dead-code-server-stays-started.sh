#!/usr/bin/env bash
# Dagster 1.13.27: a run whose code server died together with the run's process stays STARTED for ever.
#
# Expected: with `run_monitoring: {enabled: true}` the daemon notices that nobody executes the run any more, fails it, and
# run retries start it again, as they do when the run's process alone dies.
# Seen: only the code server that started the process looks after it. Where both die, as in a container that is
# killed, and the code server is started again, the run is STARTED as long as one waits: the default launcher has no
# health check, so monitoring has nothing to ask. What ends it is a limit: `run_monitoring: {max_runtime_seconds: ...}` or the
# tag `dagster/max_runtime`; or a launcher that gives each run a container of its own.
set -euo pipefail
folder=$(mktemp -d)
server= daemon=
finish() {
    for session in $server $daemon; do pkill -KILL -s "$session" || true; done
    rm -rf "$folder"
}
trap finish EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check dagster==1.13.27
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=yes PATH="$folder/venv/bin:$PATH"
mkdir home
cat >home/dagster.yaml <<'YAML'
run_monitoring: {enabled: true, poll_interval_seconds: 5}
run_retries: {enabled: true, max_retries: 3}
YAML
cat >jobs.py <<'PYTHON'
import time

import dagster as dg


@dg.op
def wait():
    time.sleep(3600)


@dg.job(executor_def=dg.in_process_executor)
def long_job():
    wait()


defs = dg.Definitions(jobs=[long_job])
PYTHON
cat >status.py <<'PYTHON'
import dagster as dg

with dg.DagsterInstance.get() as instance:
    print(*sorted(run.status.value for run in instance.get_runs()))
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "load_from: [{grpc_server: {host: 127.0.0.1, port: $port, location_name: jobs}}]" >workspace.yaml
serve() {
    setsid dagster api grpc -h 127.0.0.1 -p "$port" -f jobs.py >>server.log 2>&1 &
    server=$!
    until dagster api grpc-health-check -p "$port" >/dev/null 2>&1; do sleep 1; done
}

serve
setsid dagster-daemon run -w workspace.yaml >daemon.log 2>&1 &
daemon=$!
dagster job launch -w workspace.yaml -j long_job >launch.log 2>&1
until [[ $(python status.py) == STARTED ]]; do sleep 1; done
pkill -KILL -s "$server"
serve
sleep 60
told=$(python status.py)
echo "dagster 1.13.27: a minute after code server and run died, with monitoring every 5 s: $told"
[[ $told == STARTED ]]
