"""`airflow providers` as its users call it: the installed distribution, seen by Airflow itself."""

import json
import subprocess
from importlib.metadata import version

import pytest

from airflow_provider_vectorshift.provider_info import get_provider_info
from tests.airflow_live.stack import AIRFLOW

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]
NAME = "vectorshift-orchestration"
COMMANDS = {
    "list": ("list",),
    "get": ("get", NAME, "--full"),
    "hooks": ("hooks",),
    "triggers": ("triggers",),
    "links": ("links",),
}


def started(command, env):
    """A command of `airflow providers`, under way."""
    return subprocess.Popen(
        [AIRFLOW, "providers", *command, "-o", "json"],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_providers(stack):
    """List, get, hooks, triggers and links show all that the provider names."""
    told = {}
    for name, process in {
        name: started(command, stack.env) for name, command in COMMANDS.items()
    }.items():
        out, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        told[name] = json.loads(out[out.index("[") :])
    ours = {
        name: [row for row in rows if row.get("package_name", NAME) == NAME]
        for name, rows in told.items()
    }
    info = get_provider_info()
    assert [row["version"] for row in ours["list"]] == [version(NAME)]
    (found,) = ours["get"]
    for kind in ("operators", "sensors", "hooks", "triggers"):
        assert found[kind] == info[kind]
    assert found["extra-links"] == info["extra-links"]
    assert [(row["connection_type"], row["class"]) for row in ours["hooks"]] == [
        (row["connection-type"], row["hook-class-name"]) for row in info["connection-types"]
    ]
    assert {row["class"] for row in ours["triggers"]} == {
        module for row in info["triggers"] for module in row["python-modules"]
    }
    links = {row["extra_link_class_name"] for row in told["links"]}
    assert links >= set(info["extra-links"])
