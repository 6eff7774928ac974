"""What Airflow learns of the provider at discovery, checked with Airflow's own schemas."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest
from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_provider_vectorshift.provider_info import get_provider_info

BASES = {
    "operators": BaseOperator,
    "sensors": BaseSensorOperator,
    "hooks": BaseHook,
    "triggers": BaseTrigger,
}


def is_own(thing, module):
    """Whether a public class was made in this module."""
    return (
        isinstance(thing, type)
        and thing.__module__ == module.__name__
        and not thing.__name__.startswith("_")
    )


@pytest.fixture(scope="module")
def schemas():
    """Airflow's schema for what it discovers, and its stricter one for a provider's source."""
    import airflow

    folder = Path(airflow.__file__).parent
    names = ("provider_info.schema.json", "provider.yaml.schema.json")
    return [json.loads((folder / name).read_text()) for name in names]


def test_schemas(schemas):
    """Both schemas accept it: the whole, and the connection types by the strict one."""
    runtime, strict = schemas
    jsonschema.validate(get_provider_info(), runtime)
    connection_types = strict["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], connection_types)


def test_everything_named_exists():
    """Every module and class that it names can be imported."""
    info = get_provider_info()
    for kind, base in BASES.items():
        (entry,) = info[kind]
        for name in entry["python-modules"]:
            module = import_module(name)
            own = [thing for thing in vars(module).values() if is_own(thing, module)]
            assert any(issubclass(thing, base) for thing in own), name
    for path in info["extra-links"]:
        module, name = path.rsplit(".", 1)
        link = getattr(import_module(module), name)
        assert issubclass(link, BaseOperatorLink)
        assert link.name
    (connection,) = info["connection-types"]
    module, name = connection["hook-class-name"].rsplit(".", 1)
    hook = getattr(import_module(module), name)
    assert hook.conn_type == connection["connection-type"]
    assert hook.hook_name == connection["hook-name"]


def test_nothing_is_left_out():
    """Every module of a listed kind that ships is listed."""
    import airflow_provider_vectorshift

    info = get_provider_info()
    root = Path(airflow_provider_vectorshift.__file__).parent
    for kind in ("operators", "sensors", "triggers"):
        shipped = {file.stem for file in (root / kind).glob("[!_]*.py")}
        assert {name.rsplit(".", 1)[1] for name in info[kind][0]["python-modules"]} == shipped


def test_entry_point():
    """The installed distribution points Airflow at it."""
    result = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.dist.name == "vectorshift-orchestration"
    ]
    assert [point.load() for point in result] == [get_provider_info]


def test_airflow_knows_the_connection_type():
    """Airflow's providers manager has the connection type, its hook and its links."""
    from airflow.providers_manager import ProvidersManager

    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as OfTasks
    except ImportError:  # Airflow 3.1
        OfTasks = ProvidersManager

    hook = OfTasks().hooks["vectorshift"]
    assert hook.hook_class_name == "airflow_provider_vectorshift.hooks.VectorShiftHook"
    manager = ProvidersManager()
    assert "vectorshift-orchestration" in manager.providers
    links = {link.rsplit(".", 1)[1] for link in manager.extra_links_class_names}
    assert "VectorShiftExportLink" in links


@pytest.mark.airflow33
def test_airflow_knows_the_form():
    """Airflow's providers manager has the form's fields and labels, without the hook's help."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    for field in (
        *("timeout", "retries", "verify", "rate_limit", "time_precision"),
        "proxied_downloads",
    ):
        assert f"extra__vectorshift__{field}" in manager.connection_form_widgets
    assert manager.field_behaviours["vectorshift"]["relabeling"]["password"] == "API key"


def test_discovery_imports_nothing():
    """Airflow reads it while it reads its own configuration, so it imports no module at all."""
    script = (
        "import sys; import airflow_provider_vectorshift; before = set(sys.modules)\n"
        "import airflow_provider_vectorshift.provider_info as info; info.get_provider_info()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['airflow_provider_vectorshift.provider_info']"
