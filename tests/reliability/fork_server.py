"""A process that has imported everything and runs each job in a fork of itself.

Commands are JSON lines on stdin: `{"start": {...}}` forks a child that runs `jobs.<job>(**rest)`,
and answers its pid; `{"wait": pid}` answers how it ended: `{"exit": 0}`, `{"signal": 9}`, or
`{"stopped": true}`. A job's traceback goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from tests.reliability import jobs


def main() -> None:
    jobs.warm_up(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        if "start" in command:
            answer: dict[str, Any] = {"pid": _fork(command["start"])}
        else:
            answer = _ended(command["wait"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _fork(asked: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.environ.update(asked.pop("environment", {}))
        jobs.JOBS[asked.pop("job")](**asked)
        status = 0
    except BaseException:  # noqa: BLE001  # a child never gets out of here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _ended(pid: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"stopped": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


if __name__ == "__main__":
    main()
