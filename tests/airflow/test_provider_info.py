"""What Airflow learns of the provider at discovery, checked with Airflow's own schemas."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_vectorshift.provider_info import get_provider_info


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
    for kind in ("operators", "hooks", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                assert import_module(module).__doc__
    (connection,) = info["connection-types"]
    module, name = connection["hook-class-name"].rsplit(".", 1)
    hook = getattr(import_module(module), name)
    assert hook.conn_type == connection["connection-type"]
    assert hook.hook_name == connection["hook-name"]


def test_entry_point():
    """The installed distribution points Airflow at it."""
    found = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.dist.name == "vectorshift-orchestration"
    ]
    assert [point.load() for point in found] == [get_provider_info]


def test_airflow_knows_the_connection_type():
    """Airflow's providers manager has the connection type, its hook and its form."""
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook = ProvidersManagerTaskRuntime().hooks["vectorshift"]
    assert hook.hook_class_name == "airflow_provider_vectorshift.hooks.VectorShiftHook"
    manager = ProvidersManager()
    assert "vectorshift-orchestration" in manager.providers
    assert "extra__vectorshift__timeout" in manager.connection_form_widgets
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
