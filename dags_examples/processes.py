"""The programs that `make up` starts, and waiting for what they do."""

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import httpx
import stack

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds until something that does not come is given up; many, for machines with other things to do."""


class Processes:
    """What was started; each ends with the stack that it was started in."""

    def __init__(self, running: ExitStack, env: dict[str, str]) -> None:
        self._running, self._env = running, env
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, program: str, *arguments: str) -> None:
        """Start a program of our environment, its output in a log of its name."""
        log = stack.HOME / "logs" / f"{name}.log"
        command = [stack.BIN / program, *arguments]
        self._started[name] = self._running.enter_context(stack.started(command, log, self._env))

    def ended(self) -> list[str]:
        """The names of those that run no more."""
        return [name for name, each in list(self._started.items()) if each.poll() is not None]

    def answers(self, name: str, url: str) -> None:
        """Wait until one of them answers."""

        with httpx.Client(timeout=30, trust_env=False) as client:

            def answered() -> bool:
                try:
                    return client.get(url).is_success
                except httpx.TransportError:
                    return False

            self.until(answered, f"{name} does not answer at {url}", pause=0.5)

    def until(self, condition: Callable[[], T], problem: str, *, pause: float = 1.0) -> T:
        """The first true value of `condition`. Raises StepFailed when that cannot come any more."""
        deadline = time.monotonic() + PATIENCE
        while not (it := condition()):
            if ended := self.ended():
                problem = f"{', '.join(ended)} ended by itself"
            if ended or time.monotonic() > deadline:
                raise stack.StepFailed(f"{problem}; see {stack.HOME / 'logs'}")
            time.sleep(pause)
        return it
