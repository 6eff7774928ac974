"""The pages' Python that needs no orchestrator runs as it stands, against one emulator."""

import inspect

import pytest

from tests.pages import blocks

BLOCKS = blocks("python", "emulator")


@pytest.mark.parametrize("block", BLOCKS, ids=map(str, BLOCKS))
def test_a_block_runs(block, request, vectorshift_emulator, monkeypatch, tmp_path):
    """The environment is a user's: key and address. A test that a page shows is called with its fixtures."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", vectorshift_emulator.api_key)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", vectorshift_emulator.base_url)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    exec(compile(block.text.replace("/data", str(tmp_path)), str(block), "exec"), names)
    for name, function in list(names.items()):
        if name.startswith("test_"):
            function(**{each: request.getfixturevalue(each) for each in _arguments(function)})


def _arguments(function):
    return inspect.signature(function).parameters
