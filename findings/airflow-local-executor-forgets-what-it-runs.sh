#!/usr/bin/env bash
# Airflow 3.3.2: LocalExecutor forgets a task when it hands it to a worker.
#
# Expected: `has_task` is True for a task that the executor has queued or runs. The scheduler asks it to tell
# a late word of an earlier start of a task, which means nothing, from the end of the task.
# Seen: while a worker is busy with a task, `running` is empty and `has_task` says False; and a second start
# that is refused because the task runs already is told as `failed` under the same key. So the scheduler fails
# the task that runs ("state mismatch" in the audit log), be it for that, or for the late exit of the worker
# that had deferred it (https://github.com/apache/airflow/issues/72716).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check apache-airflow==3.3.2
export AIRFLOW_HOME="$folder/home"
cat >run.py <<'PYTHON'
import json
import os
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

asked, answer = threading.Event(), threading.Event()


class Api(BaseHTTPRequestHandler):
    """The execution API, which takes its time and then says that the task runs already."""

    def do_PATCH(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.set()
        answer.wait(60)
        detail = {"reason": "invalid_state", "message": "no", "previous_state": "running"}
        body = json.dumps({"detail": detail}).encode()
        self.send_response(409)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = (
    f"http://127.0.0.1:{server.server_port}/execution/"
)

from airflow.executors import workloads
from airflow.executors.local_executor import LocalExecutor
from airflow.executors.workloads.base import BundleInfo
from airflow.executors.workloads.task import TaskInstanceDTO

task = TaskInstanceDTO(
    id=uuid.uuid4(),
    dag_version_id=uuid.uuid4(),
    dag_id="dag",
    task_id="task",
    run_id="run",
    try_number=1,
    map_index=-1,
    pool_slots=1,
    queue="default",
    priority_weight=1,
)
workload = workloads.ExecuteTask(
    ti=task,
    dag_rel_path=Path("dag.py"),
    bundle_info=BundleInfo(name="dags-folder"),
    token="token",
    log_path="task.log",
)
executor = LocalExecutor(parallelism=1)
executor.start()
executor.queue_workload(workload, session=None)
before = executor.has_task(task)
executor.heartbeat()
assert asked.wait(60), "no worker asked to start the task"
meanwhile = executor.has_task(task), set(executor.running)
answer.set()
until = time.monotonic() + 60
while not executor.event_buffer and time.monotonic() < until:
    executor.sync()
    time.sleep(0.2)
told = [str(getattr(state, "value", state)) for state, _ in executor.event_buffer.values()]
executor.end()
print("queued, has_task:", before)
print("a worker is busy with it, has_task and running:", *meanwhile)
print("its start was refused, because it runs already; the executor tells:", told[-1:])
raise SystemExit((before, meanwhile, told[-1:]) != (True, (False, set()), ["failed"]))
PYTHON
venv/bin/python run.py 2>&1 | tail -3
# queued, has_task: True
# a worker is busy with it, has_task and running: False set()
# its start was refused, because it runs already; the executor tells: ['failed']
