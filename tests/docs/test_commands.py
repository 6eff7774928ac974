"""The pages' commands are ones that exist, with options that exist; their JSON is JSON."""

import json
import re
import tomllib

import httpx

from tests.pages import ROOT, blocks, commands
from vectorshift_emulator.__main__ import _parser as emulator_parser

LOCKED = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "dev.txt").read_text(), re.M))
PROGRAMS = {"airflow", "dagster", "dg", "vectorshift-orchestration"}
"""Those that tests/airflow, tests/dagster and tests/cli read."""


def pip(words):
    """Ours has the extra; what is somebody else's is what we test with."""
    assert words[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for word in words[1:]:
        name, _, wanted = word.rstrip("]").partition("[")
        if name == "vectorshift-orchestration":
            assert set(wanted.split(",")) <= extras.keys(), word
        else:
            assert name in LOCKED, word


def make(words):
    """A target of the Makefile, with variables that it knows."""
    text = (ROOT / "Makefile").read_text()
    for word in words:
        target, _, value = word.partition("=")
        assert f"$({target})" in text if value else re.search(rf"^{target}:", text, re.M), word


def python(words):
    """A module of ours with its options, a run of the tests, or a benchmark."""
    if words[0].startswith("benchmarks/"):
        assert (ROOT / words[0]).is_file(), words[0]
        return
    _, module, *rest = words
    if module == "vectorshift_emulator":
        emulator_parser().parse_args(rest)
    else:
        assert module in ("pytest", "hatchling"), module
        paths = [word for word in rest if "/" in word]
        assert all((ROOT / path).exists() for path in paths), paths


def export(words):
    """Variables, those of connections with JSON or an address."""
    for word in words:
        name, _, value = word.partition("=")
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", name), word
        if name.startswith("AIRFLOW_CONN_"):
            assert "://" in value or json.loads(value)["conn_type"], word


def curl(words):
    """The body is JSON; `test_control_by_hand` sends it."""
    json.loads(words[words.index("-d") + 1])


KNOWN = {"pip": pip, "make": make, "python": python, ".venv/bin/python": python}
KNOWN |= {"export": export, "curl": curl}


def test_every_command_exists():
    """Its program, its target or module, and its options are there."""
    ours = [(block, words) for block, words in commands() if words[0] not in PROGRAMS]
    assert len(ours) > 20
    for block, words in ours:
        assert words[0] in KNOWN, block
        KNOWN[words[0]](words[1:])


def test_control_by_hand(vectorshift_emulator):
    """What the emulator's page sends with curl is taken."""
    sent = [words for _, words in commands("curl")]
    assert sent
    for words in sent:
        (address,) = [word for word in words if word.startswith("$CONTROL_URL")]
        answer = httpx.post(
            address.replace("$CONTROL_URL", vectorshift_emulator.control_url),
            content=words[words.index("-d") + 1],
            headers={"Authorization": f"Bearer {vectorshift_emulator.control_token}"},
        )
        assert answer.status_code == 200, answer.text


def test_json_is_json():
    """But for the requests of the wire format, which a test of their own compares."""
    found = [block for block in blocks("json") if block.page != "docs/wire-format.md"]
    assert found
    for block in found:
        assert json.loads(block.text), block
