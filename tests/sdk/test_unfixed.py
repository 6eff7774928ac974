"""Every fix is taken out once, in a copy of the package, and its test seen to fail."""

import multiprocessing
import re

import pytest

from tests.sdk.unfixed import NAMED, PRELOADED, ROOT, UNFIXES, failures


@pytest.mark.slow
def test_each_named_test_fails_without_its_fix(tmp_path):
    """Each un-fixed copy fails its tests (and does not merely fail to load); the untouched copy passes them all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    jobs = [(tmp_path / str(number), unfix) for number, unfix in enumerate((None, *UNFIXES))]
    with context.Pool(2, maxtasksperchild=1) as pool:
        (untouched, output), *seen = pool.starmap(failures, jobs, chunksize=1)
    assert untouched == set(), output
    passed = {
        name: text
        for unfix, (failed, text) in zip(UNFIXES, seen, strict=True)
        for name in unfix.names - failed
    }
    assert passed == {}


def test_each_named_test_has_its_unfix():
    """No test of the file is left without an entry in the table."""
    names = re.findall(r"^def (test_\w+)", (ROOT / NAMED).read_text(), re.MULTILINE)
    guarded = {name.partition("[")[0] for unfix in UNFIXES for name in unfix.names}
    assert guarded == set(names) - {"test_every_error_class_has_an_example_here"}
