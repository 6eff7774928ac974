"""A walk knows each id again, in little memory."""

import random
import sys

import pytest

from vectorshift.analytics._seen import Seen


@pytest.mark.parametrize("seed", range(3))
def test_each_id_is_new_once(seed):
    """However many ids come, in whatever order and however often, the first of each is new and no other."""
    draw = random.Random(seed)
    ids = [f"{draw.randrange(20_000):032x}" for _ in range(40_000)]
    seen, existing = Seen(), set()
    for each in ids:
        assert seen.add(each) is (each not in existing)
        existing.add(each)


def test_an_id_takes_less_than_a_quarter_of_what_a_text_takes():
    """200,000 ids fit into 5 MiB, whatever their length."""
    seen = Seen()
    ids = [f"{number:064x}" for number in range(200_000)]
    assert all(map(seen.add, ids))
    assert sys.getsizeof(seen._table) < 5 * 2**20


def test_an_empty_id_is_an_id():
    """Text whose hash is 0 is remembered like any other."""
    seen = Seen()
    assert hash("") == 0
    assert seen.add("")
    assert not seen.add("")
