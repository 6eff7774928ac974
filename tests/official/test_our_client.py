"""Our client tells the truth where the official one does, and where only ours can be asked."""

import sys
from pathlib import Path

import pytest

from tests.official import beyond, script
from tests.official.judging import judge

OURS = Path(sys.executable)


@pytest.mark.parametrize("keys", ["camel", "snake"])
def test_our_client_passes_the_official_clients_script(emulator, record_property, keys):
    """The same chains as the official client's, through our package, have the same true answers."""
    emulator.settings(keys=keys)
    right, wrong = judge(OURS, emulator, script.cases(emulator.truth))
    record_property(
        "count", f"our client, {keys} keys: {right} of {right + len(wrong)} calls right"
    )
    assert not wrong, "\n\n".join(wrong)


def test_what_deviates_is_answered_exactly(emulator, record_property):
    """Scopes, alternatives, bounds and pages that only our requests express have true answers."""
    right, wrong = judge(OURS, emulator, beyond.cases(emulator.truth))
    record_property("count", f"our client, deviations: {right} of {right + len(wrong)} calls right")
    assert not wrong, "\n\n".join(wrong)
