"""What the pages show of Dagster: their Python and YAML as it stands, and commands that exist."""

from importlib import import_module

import click
import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from dagster_vectorshift import DuckDBStorage, VectorShiftResource
from tests.pages import blocks, commands

BLOCKS = blocks("python", "dagster")


@pytest.mark.parametrize("block", BLOCKS, ids=map(str, BLOCKS))
def test_what_a_block_defines_can_be_loaded(block):
    """A block of Python runs, and its definitions load. No key and no service is needed for it."""
    names = {"__name__": "page"}
    exec(compile(block.text, str(block), "exec"), names)
    resources = {"vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY"))}
    assets = [each for each in names.values() if isinstance(each, dg.AssetsDefinition)]
    storage = {"storage": DuckDBStorage(path="health.duckdb")}
    defs = names.get("defs") or dg.Definitions(assets, resources=resources | storage)
    dg.Definitions.validate_loadable(defs)


COMPONENTS = [block for block in blocks("yaml") if "type: dagster_vectorshift." in block.text]


@pytest.mark.filterwarnings("ignore:.*parse_obj_as")
@pytest.mark.filterwarnings("ignore:.*CodeReference")
@pytest.mark.filterwarnings("ignore:.*environment_vars")
@pytest.mark.parametrize("block", COMPONENTS, ids=map(str, COMPONENTS))
def test_a_component_loads(block, monkeypatch):
    """A `defs.yaml` of the pages loads in a project, without a key."""
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "sk_page")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1/page")
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / "page"
        folder.mkdir()
        (folder / "defs.yaml").write_text(block.text)
        with sandbox.load_component_and_build_defs(defs_path=folder) as (_, defs):
            assert list(defs.resolve_all_asset_specs())


SPECS = "docs/command-line.md"
INSTANCES = [
    block
    for block in blocks("yaml")
    if block not in COMPONENTS
    and block.page != SPECS
    and "airflow_provider_vectorshift." not in block.text
]


@pytest.mark.parametrize("block", INSTANCES, ids=map(str, INSTANCES))
def test_an_instance_takes_the_settings(block, tmp_path):
    """What is not a component is a `dagster.yaml`, which an instance reads."""
    (tmp_path / "dagster.yaml").write_text(block.text)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        for name, value in yaml.safe_load(block.text).items():
            assert instance.get_settings(name) == value


def test_dagster_commands_exist(monkeypatch, tmp_path):
    """Each `dagster` and `dg` command of the pages is one that its parser takes."""
    monkeypatch.chdir(tmp_path)
    groups = {
        "dagster": import_module("dagster._cli").create_dagster_cli(),
        "dg": import_module("dagster_dg_cli.cli").create_dg_cli(),
    }
    found = commands("dagster", "dg")
    assert len(found) > 5
    for block, words in found:
        try:
            _parsed(groups[words[0]], words[0], words[1:])
        except click.ClickException as problem:
            pytest.fail(f"{block}: {' '.join(words)}: {problem.format_message()}")


def _parsed(command, name, words):
    """Take the words as the command does, and run nothing."""
    context = command.make_context(name, list(words))
    if isinstance(command, click.Group):
        name, inner, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        _parsed(inner, name, rest)
