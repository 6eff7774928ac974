"""Runs `interpreter.py` with either package, and tells what each chain did on the wire."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.official.recorder import Request, recording
from tests.official.vocabulary import Chain

INTERPRETER = Path(__file__).with_name("interpreter.py")


@dataclass(frozen=True)
class Observed:
    """What one chain sent, and what it raised (the class and its bases; empty for an answer)."""

    requests: tuple[Request, ...]
    raised: tuple[str, ...]
    text: str


def observe(python: Path, chains: list[Chain]) -> list[Observed]:
    """Runs chains against the recorder; a chain's requests are those that carried its key."""
    with recording() as recorder:
        outcomes = run(python, chains, recorder.base_url)
        return [
            Observed(
                requests=tuple(recorder.by_key[chain["key"]]),
                raised=tuple(outcome.get("raised", ())),
                text=outcome.get("text", ""),
            )
            for chain, outcome in zip(chains, outcomes, strict=True)
        ]


def run(python: Path, chains: list[Chain], base_url: str) -> list[dict[str, Any]]:
    """Runs chains one after the other; every outcome holds `answer`, or `raised` and `text`."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python), str(INTERPRETER)],
            input=json.dumps({"chains": chains}),
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            # Nothing of the machine reaches either client: no netrc, no proxy, no .env, no key.
            env={"HOME": home, "PATH": os.defpath, "VECTORSHIFT_BASE_URL": base_url},
        )
    assert done.returncode == 0, f"{python} could not run the chains:\n{done.stderr}"
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    return outcomes
