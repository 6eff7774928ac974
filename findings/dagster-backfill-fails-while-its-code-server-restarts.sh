#!/usr/bin/env bash
# Dagster 1.13.27: a backfill of assets fails for good when the daemon looks at it while its code server is being started again.
#
# Expected: the daemon waits until the code location can be loaded again, as it does for schedules and sensors.
# Seen: at the next evaluation the backfill is FAILED ("existed at storage-time, but no longer does. This could be because it's
# inside a code location that's failing to load"), without another try; what it had not asked for by then is never
# run. With DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR set in the daemon's environment it waits and goes on.
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
venv/bin/pip install --quiet --disable-pip-version-check dagster==1.13.27 dagster-graphql==1.13.27
export DAGSTER_HOME="$folder/home" DAGSTER_DISABLE_TELEMETRY=yes PATH="$folder/venv/bin:$PATH"
mkdir home
echo 'concurrency: {runs: {max_concurrent_runs: 1}}' >home/dagster.yaml
cat >letters.py <<'PYTHON'
import time

import dagster as dg


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def letter():
    time.sleep(15)


defs = dg.Definitions(assets=[letter], executor=dg.in_process_executor)
PYTHON
cat >status.py <<'PYTHON'
import dagster as dg

with dg.DagsterInstance.get() as instance:
    print(*sorted(backfill.status.value for backfill in instance.get_backfills()))
PYTHON
backfill='mutation { launchPartitionBackfill(backfillParams: {assetSelection: [{path: ["letter"]}], partitionNames: ["a", "b"]}) {
  __typename ... on PythonError { message } } }'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "load_from: [{grpc_server: {host: 127.0.0.1, port: $port, location_name: letters}}]" >workspace.yaml
serve() {
    setsid dagster api grpc -h 127.0.0.1 -p "$port" -f letters.py >>server.log 2>&1 &
    server=$!
    until dagster api grpc-health-check -p "$port" >/dev/null 2>&1; do sleep 1; done
}
start_daemon() {
    setsid "$@" dagster-daemon run -w workspace.yaml >>daemon.log 2>&1 &
    daemon=$!
}
ended() { # the status after a restart during which the daemon looked; `$@` is put before the daemon's command
    rm -rf home/history home/storage home/schedules
    serve
    start_daemon "$@"
    dagster-graphql -w workspace.yaml -t "$backfill" >launch.log
    until grep --quiet "backfill .* Evaluating\|Evaluating asset backfill" daemon.log; do sleep 1; done
    pkill -KILL -s "$server"
    pkill -KILL -s "$daemon"
    start_daemon "$@"
    sleep 60
    serve
    sleep 60
    python status.py
    pkill -KILL -s "$server"
    pkill -KILL -s "$daemon"
    rm -f daemon.log
}

by_default=$(ended)
told_to_wait=$(ended env DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR=1)
echo "dagster 1.13.27: a backfill whose code server was away for a minute: $by_default; with the variable: $told_to_wait"
[[ $by_default == FAILED && $told_to_wait == @(REQUESTED|COMPLETED*) ]]
