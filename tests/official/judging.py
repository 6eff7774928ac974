"""Runs cases with a client against the emulator and compares every answer with the truth."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.official.case import Case, Truth
from tests.official.runs import run
from tests.official.vocabulary import Chain
from vectorshift_emulator import Emulator


def judge(python: Path, emulator: Emulator, cases: Iterable[Case]) -> tuple[int, list[str]]:
    """How many calls told the truth, each case in both of its twins, and what the others told."""
    calls = [(case, chain) for case in cases for chain in case.twins]
    outcomes = answers(python, emulator, [chain for _, chain in calls])
    verdicts = [
        (chain, case.sql, _verdict(case, outcome, emulator.truth))
        for (case, chain), outcome in zip(calls, outcomes, strict=True)
    ]
    wrong = [
        f"{json.dumps(chain)}\n{sql}\n{verdict}" for chain, sql, verdict in verdicts if verdict
    ]
    return len(calls) - len(wrong), wrong


def answers(python: Path, emulator: Emulator, chains: list[Chain]) -> list[dict[str, Any]]:
    """The outcomes of chains run with the emulator's key."""
    keyed = [{"key": emulator.api_key, **chain} for chain in chains]
    return run(python, keyed, emulator.base_url)


def _verdict(case: Case, outcome: dict[str, Any], truth: Truth) -> str:
    """Nothing when the answer is the truth, else what both are."""
    if "answer" not in outcome:
        return f"{outcome['raised'][0]}: {outcome['text']}"
    reported, true = case.read(outcome["answer"], truth(case.sql))
    return "" if reported == true else f"told {reported!r}\ntrue {true!r}"
