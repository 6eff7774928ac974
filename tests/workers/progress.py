"""Waiting on a busy machine: as long as something moves."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

STALLED = 900
"""Seconds without a change after which a wait gives up."""


def until(what: Callable[[], Any], expected: str, look: Callable[[], Any]) -> Any:
    """Wait until `what()` gives something true, and return it.

    Args:
        what: what is waited for.
        expected: what that is called.
        look: what is compared and printed to tell that something moves; JSON.

    Raises:
        AssertionError: nothing changed for `STALLED` seconds.
    """
    began = changed = printed = time.monotonic()
    seen = None
    while not (result := what()):
        now = time.monotonic()
        if (looks := look()) != seen:
            seen, changed = looks, now
        if now - printed > 15:
            printed = now
            sys.stderr.write(f"{now - began:6.0f} s until {expected}: {json.dumps(seen)}\n")
        assert now - changed < STALLED, f"nothing moved for {STALLED} s: {expected}; {seen}"
        time.sleep(0.5)
    return result
