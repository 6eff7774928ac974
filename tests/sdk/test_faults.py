"""Every fault is put into the package once, and its tests seen to fail."""

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.sdk.faults import FAULTS, NAMED, ROOT, failures


@pytest.mark.slow
def test_each_named_test_fails_with_its_fault():
    """Each fault fails each of its tests; without any, all of them pass."""
    numbers = [None, *range(len(FAULTS))]
    # Its processes end by themselves: a `Pool` sends SIGTERM, which a process may have inherited as ignored.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        one, other = pool.map(failures, (numbers[::2], numbers[1::2]))
    result = one | other
    unharmed, output = result[None]
    assert unharmed == set(), output
    passed = {
        f"{name} with {fault.put.__name__}": result[number][1]
        for number, fault in enumerate(FAULTS)
        for name in fault.tests - result[number][0]
    }
    assert passed == {}


def test_each_named_test_has_its_fault():
    """No test of the file is left without an entry in the table."""
    names = re.findall(r"^def (test_\w+)", (ROOT / NAMED).read_text(), re.MULTILINE)
    guarded = {name.partition("[")[0] for fault in FAULTS for name in fault.tests}
    assert guarded == set(names) - {"test_every_error_class_has_an_example_here"}
