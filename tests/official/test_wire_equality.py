"""Our requests are the official client's requests, but for the written list of deviations."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.official.chains import chains
from tests.official.deviations import DEVIATIONS, expected
from tests.official.outcomes import Raises
from tests.official.runs import observe

SEED = 20_261_123
NUMBER = 1000


@pytest.fixture(scope="module")
def compared(official):
    """Each chain with its deviations, what it must do, what it does officially, and what we do."""
    created = chains(SEED, NUMBER)
    decided = [expected(chain) for chain in created]
    required = [
        {**sent.chain, "key": f"{chain['key']}_{part}"}
        for chain, (_, outcome) in zip(created, decided, strict=True)
        for part, sent in enumerate([] if isinstance(outcome, Raises) else outcome)
    ]
    theirs = observe(official, created + required)
    by_key = dict(zip([chain["key"] for chain in created + required], theirs, strict=True))
    ours = observe(Path(sys.executable), created)
    return [
        Comparison(chain, names, outcome, by_key, mine)
        for chain, (names, outcome), mine in zip(created, decided, ours, strict=True)
    ]


class Comparison:
    """One chain: the documented behaviour next to ours."""

    def __init__(self, chain, names, outcome, by_key, ours):
        self.chain, self.names, self.ours = chain, names, ours
        self.plain = _behaviour([by_key[chain["key"]]], [()], chain["key"])
        if isinstance(outcome, Raises):
            self.wanted = outcome.name
        else:
            parts = [by_key[f"{chain['key']}_{part}"] for part in range(len(outcome))]
            self.wanted = _behaviour(parts, [sent.edits for sent in outcome], chain["key"])

    @property
    def deviates(self):
        """The official client does something else than we must."""
        return self.wanted != self.plain

    @property
    def equal(self):
        """We do what we must; a refusal may be a subclass of the documented error."""
        if isinstance(self.wanted, str):
            return not self.ours.requests and self.wanted in self.ours.raised
        return not self.ours.raised and sorted(map(str, self.ours.requests)) == self.wanted

    def __str__(self):
        return "\n".join(
            (
                f"chain {self.chain['key']}: {json.dumps(self.chain['start'])}",
                *(f"  .{json.dumps(call)}" for call in self.chain["then"]),
                f"  deviations: {self.names}",
                f"  official does: {self.plain}",
                f"  we must do:    {self.wanted}",
                f"  we do:         {sorted(map(str, self.ours.requests))} "
                f"{self.ours.raised[:1]} {self.ours.text}",
            )
        )


def _behaviour(parts, edits, key):
    """The name of what was raised before anything was sent, or all requests in a fixed order."""
    requests = []
    for part, changes in zip(parts, edits, strict=True):
        if part.raised and not part.requests:
            return part.raised[0]
        for request in part.requests:
            for change in changes:
                request = change(request)
            requests.append(replace(request, authorization=f"Bearer {key}"))
    return sorted(map(str, requests))


def test_every_random_chain_sends_the_documented_requests(compared, record_property):
    """1,000 random chains send what the official client sends, or what a listed deviation says."""
    equal = [each for each in compared if each.equal]
    deviating = [each for each in equal if each.deviates]
    record_property(
        "count",
        f"{len(equal)} of {len(compared)} chains equal, "
        f"{len(deviating)} through a listed deviation",
    )
    different = [str(each) for each in compared if not each.equal]
    assert not different, "\n\n".join([f"{len(different)} chains differ", *different[:20]])


def test_most_chains_are_valid_and_need_no_deviation(compared):
    """The comparison means something: most chains send a request, and exactly the official one."""
    sent = [each for each in compared if isinstance(each.wanted, list)]
    plain = [each for each in sent if not each.deviates]
    assert len(sent) > 0.8 * len(compared)
    assert len(plain) > 0.6 * len(compared)


def test_every_deviation_is_real_and_explains_every_difference(compared):
    """Each listed deviation changes what some chain does, and nothing deviates without a name."""
    used = {name for each in compared if each.deviates for name in each.names}
    assert used == {deviation.name for deviation in DEVIATIONS}
    assert all(each.names for each in compared if each.deviates)
