"""Components: YAML that scaffolds, loads, never leaks a secret, and names what is wrong in it."""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from dagster_vectorshift import (
    VectorShiftExportComponent,
    VectorShiftHealthComponent,
    VectorShiftResource,
    _documents,
)
from tests.days import MIDNIGHT

# What Dagster itself calls while it reads YAML and makes snapshots.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*parse_obj_as"),
    pytest.mark.filterwarnings("ignore:.*CodeReference"),
    pytest.mark.filterwarnings("ignore:.*environment_vars"),
    pytest.mark.filterwarnings("ignore:Parameter `owners` of initializer `SensorDefinition"),
]

KEY, PASSWORD = "sk_canary_77c1d2", "pg_canary_90ab3e"
BOTH = pytest.mark.parametrize(
    "component", [VectorShiftHealthComponent, VectorShiftExportComponent]
)
DUCKDB = 'type: duckdb, path: "{{ env.CANARY_KEY }}"'
HEALTH = """
type: dagster_vectorshift.VectorShiftHealthComponent
attributes:
  account: {api_key: "{{ env.CANARY_KEY }}"}
  storage: {type: postgres, url: "{{ env('CANARY_URL') }}"}
  partitions: {type: daily, start_date: "2026-01-01"}
  query: {object_type: pipeline}
  tables:
    - {name: by_pipeline, metrics: [runs.sum], group_by: [pipeline_id]}
    - {name: by_hour, metrics: [runs.sum], group_by: [], interval: hour}
  checks:
    - {table: by_pipeline, rule: {rule: rate, error: 0.1}, blocking: true}
  schedule: {settle_minutes: 90, lookback: 2, running: true}
  backfill_policy: {type: multi_run, max_partitions_per_run: 10}
  error_messages: {name: messages, limit: 5}
  retry_policy: {max_retries: 2, delay: 30, backoff: exponential}
  kinds: [postgres]
  key_prefix: [ai]
  owners: [team:ai]
"""


OURS = """
import dagster as dg
from dagster_vectorshift import DagsterVectorShiftTranslator

class Ours(DagsterVectorShiftTranslator):
    def get_asset_spec(self, props):
        return super().get_asset_spec(props).merge_attributes(tags={"named_by": "ours"})

@dg.template_var
def ours():
    return Ours()
"""


@pytest.fixture(autouse=True)
def canaries(monkeypatch):
    """Secrets in the environment, as where a code server runs."""
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("CANARY_URL", f"postgresql://me:{PASSWORD}@127.0.0.1:1/db")
    monkeypatch.setenv("VECTORSHIFT_API_KEY", KEY)


@pytest.fixture
def load():
    """Definitions of one component from its YAML, in a project of its own."""
    with create_defs_folder_sandbox() as sandbox:

        def load(text, **modules):
            folder = sandbox.defs_folder_path / "one"
            folder.mkdir(exist_ok=True)
            for name, code in modules.items():
                (folder / f"{name}.py").write_text(code)
            (folder / "defs.yaml").write_text(text)
            with sandbox.load_component_and_build_defs(defs_path=folder) as (_, defs):
                return defs

        yield load


def failure_of(load, text):
    """What is told when YAML does not load: the errors, each with its cause."""
    try:
        load(text)
    except Exception as problem:  # noqa: BLE001  # its type differs by the layer that saw it
        chain = []
        while problem is not None:
            chain.append(str(problem))
            problem = problem.__cause__ or problem.__context__
        return "\n".join(chain)
    pytest.fail("it loaded")


def kept_of(defs):
    """What goes from the code server to the web server and into the instance."""
    from dagster._core.remote_representation.external_data import RepositorySnap

    repository = defs.get_repository_def()
    jobs = [dg.serialize_value(job.get_job_snapshot()) for job in repository.get_all_jobs()]
    return "\n".join([dg.serialize_value(RepositorySnap.from_def(repository)), *jobs])


def test_variables_stay_names(load):
    """The snapshots hold the names of variables and neither the key nor the password."""
    stored = kept_of(load(HEALTH))
    assert "CANARY_KEY" in stored
    assert "CANARY_URL" in stored
    assert KEY not in stored
    assert PASSWORD not in stored


def test_the_control_leaks(monkeypatch, load):
    """Handled as Dagster handles templates, a value is in the snapshot: the search finds what is there."""
    monkeypatch.setattr(_documents, "_ONE_VARIABLE", re.compile("nothing is taken for a variable"))
    text = HEALTH.replace("type: postgres, url: \"{{ env('CANARY_URL') }}\"", DUCKDB)
    text = text.replace('{api_key: "{{ env.CANARY_KEY }}"}', "null")
    account = VectorShiftResource(api_key=dg.EnvVar("CANARY_KEY"))
    defs = dg.Definitions.merge(load(text), dg.Definitions(resources={"vectorshift": account}))
    assert KEY in kept_of(defs)


def test_a_run_leaves_the_key_nowhere(emulator, load, tmp_path, monkeypatch, capfd):
    """A run of the component uses the key, and no file of the instance and no output holds it; the control does."""
    monkeypatch.setenv("CANARY_KEY", emulator.api_key)
    database = f"type: duckdb, path: {tmp_path / 'health.duckdb'}"
    text = HEALTH.replace("type: postgres, url: \"{{ env('CANARY_URL') }}\"", database)
    text = text.replace("{api_key:", f'{{base_url: "{emulator.base_url}", api_key:')
    job = load(text).resolve_implicit_global_asset_job_def()
    home = tmp_path / "home"
    home.mkdir()
    day = str(MIDNIGHT.date() - timedelta(days=1))
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert job.execute_in_process(instance=instance, partition_key=day).success
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    stored += "".join(capfd.readouterr()).encode()
    assert emulator.api_key.encode() not in stored
    assert b"health.duckdb" in stored


def test_a_secret_is_never_written_down(load):
    """A literal key is refused, with the form that is taken."""
    assert "env.NAME" in failure_of(load, HEALTH.replace('"{{ env.CANARY_KEY }}"', "sk_literal"))


def test_yaml_says_what_python_says(load):
    """Assets, checks, schedule, policy and owners are those of the YAML."""
    defs = load(HEALTH)
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {"ai/by_pipeline", "ai/by_hour", "ai/messages"} <= set(specs)
    assert specs["ai/by_hour"].owners == ["team:ai"]
    assets = defs.resolve_assets_def(dg.AssetKey(["ai", "by_hour"]))
    assert assets.backfill_policy == dg.BackfillPolicy.multi_run(10)
    assert assets.op.retry_policy == dg.RetryPolicy(
        max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL
    )
    assert specs["ai/by_hour"].kinds == {"vectorshift", "postgres"}
    (check,) = assets.check_specs
    assert (check.name, check.blocking) == ("rate", True)
    schedule = defs.resolve_schedule_def("ai_by_pipeline_schedule")
    assert schedule.cron_schedule == "30 1 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_a_condition_takes_the_place_of_the_schedule(load):
    """With an automation condition in the YAML, assets have it and no schedule is made."""
    condition = """automation_condition: "{{ dg.AutomationCondition.on_cron('@daily') }}\""""
    text = HEALTH.replace("schedule: {settle_minutes: 90, lookback: 2, running: true}", condition)
    defs = load(text)
    spec = next(
        each
        for each in defs.resolve_all_asset_specs()
        if each.key == dg.AssetKey(["ai", "by_hour"])
    )
    assert spec.automation_condition == dg.AutomationCondition.on_cron("@daily")
    assert not list(defs.schedules or [])


def test_months_are_a_cadence_like_any_other(load):
    """Partitions that have no word of their own are said by their cron, and the schedule follows them."""
    months = (
        '{type: time_window, start_date: "2026-01-01", fmt: "%Y-%m-%d", cron_schedule: "0 0 1 * *"}'
    )
    defs = load(HEALTH.replace('{type: daily, start_date: "2026-01-01"}', months))
    assets = defs.resolve_assets_def(dg.AssetKey(["ai", "by_hour"]))
    assert assets.partitions_def == dg.MonthlyPartitionsDefinition("2026-01-01")
    (schedule,) = defs.schedules
    assert schedule.cron_schedule == "30 1 1 * *"


def test_an_io_manager_is_named_in_yaml(load):
    """With an IO manager in the YAML, the assets ask for it and for no storage."""
    text = HEALTH.replace(
        "storage: {type: postgres, url: \"{{ env('CANARY_URL') }}\"}",
        "io_manager_key: tables\n  as_type: polars",
    )
    tables = dg.Definitions(resources={"tables": dg.InMemoryIOManager()})
    defs = dg.Definitions.merge(load(text), tables)
    assets = defs.resolve_assets_def(dg.AssetKey(["ai", "by_hour"]))
    assert {spec.metadata["dagster/io_manager_key"] for spec in assets.specs} == {"tables"}
    assert "storage" not in assets.required_resource_keys


@BOTH
def test_what_is_scaffolded_loads(component):
    """The scaffolded YAML loads as it stands, with a schedule."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=component, defs_path="one")
        with sandbox.load_component_and_build_defs(defs_path=path) as (_, defs):
            dg.Definitions.validate_loadable(defs)
            assert len(list(defs.schedules)) == 1


@BOTH
def test_every_key_is_described(component):
    """The schema that editors and Dagster's docs show says what each key is for; the main ones have an example."""
    schema = component.get_model_cls().model_json_schema()
    parts = {"": schema, **schema["$defs"]}
    silent = {
        f"{part}.{key}"
        for part, described in parts.items()
        for key, written in described.get("properties", {}).items()
        if not written.get("description") and key != "type"  # one of the words that are listed
    }
    assert silent == set()
    minutes = schema["$defs"]["ScheduleModel"]["properties"]["settle_minutes"]["description"]
    assert "how long after its end" in minutes
    assert "In minutes." in minutes


@BOTH
def test_every_key_has_an_example(component, load):
    """One document of all examples loads, and its definitions have what it says."""
    schema = component.get_model_cls().model_json_schema()
    examples = {key: written["examples"] for key, written in schema["properties"].items()}
    attributes = {key: each for key, (each,) in examples.items()}
    document = {
        "type": f"dagster_vectorshift.{component.__name__}",
        "template_vars_module": ".ours",
        "attributes": attributes,
    }
    tables = dg.Definitions(resources={"tables": dg.InMemoryIOManager()})
    defs = dg.Definitions.merge(load(yaml.safe_dump(document), ours=OURS), tables)
    assert all(each.default_status.value == "RUNNING" for each in defs.sensors or ())
    (spec, *_) = defs.resolve_all_asset_specs()
    assert spec.key.path[0] == "ai"
    assert spec.owners == ["team:ai"]
    assert spec.tags["named_by"] == "ours"
    assert spec.freshness_policy is not None


@pytest.mark.parametrize(
    ("wrong", "right", "named"),
    [
        ("runs.sm", "runs.sum", "runs.sum"),
        ("pipelin_id", "pipeline_id", "pipeline_id"),
        ("object_tpe", "object_type", "object_tpe"),
        ("ratee", "rate", "rate"),
        ("minute_settle", "settle_minutes", "minute_settle"),
        ("limits: 5", "limit: 5", "limits"),
        ("type: postgress", "type: postgres", "postgres"),
        (
            "type: file, path: /data",
            "type: postgres, url: \"{{ env('CANARY_URL') }}\"",
            "not tables",
        ),
        ("{where: [{status: failure}]}", "{object_type: pipeline}", "data column status"),
    ],
)
def test_a_wrong_name_is_named(load, capsys, wrong, right, named):
    """A word that does not exist fails the load; the file is named, and the word or the nearest one."""
    reported = failure_of(load, HEALTH.replace(right, wrong, 1)) + "".join(capsys.readouterr())
    assert named in reported
    assert "defs.yaml" in reported


def test_components_of_the_same_tables_live_in_one_project(load):
    """Two prefixes keep ops, schedules and resources apart, with hyphens as `dg.asset` takes them."""
    both = [load(HEALTH.replace("[ai]", f"[{prefix}]")) for prefix in ("team-a", "team-b")]
    defs = dg.Definitions.merge(*both)
    dg.Definitions.validate_loadable(defs)
    assert {each.name for each in defs.schedules} == {
        f"team_{letter}_by_pipeline_schedule" for letter in "ab"
    }
    assert len(defs.resources) == 4


UNSET = "{{ env.NOT_SET }}"
EXPORT = """
type: dagster_vectorshift.VectorShiftExportComponent
attributes:
  name: nightly
  partitions: {type: daily, start_date: "2026-01-01"}
"""


@pytest.mark.parametrize(
    "line",
    [
        f'query: {{object_type: pipeline, object_id: "{UNSET}"}}',
        f'query: {{object_type: "{UNSET}"}}',
        f'query: {{kinds: ["{UNSET}"]}}',
        f'query: {{where: [{{project_id: "{UNSET}"}}]}}',
        f'query: {{where: [{{project_id: {{in: ["{UNSET}"]}}}}]}}',
        f'query: "{UNSET}"',
        f'table: "{UNSET}"',
        f'table: "nightly_{UNSET}"',
        f'pool: "{UNSET}"',
        f'timeout: "{UNSET}"',
        f'key_prefix: ["{UNSET}"]',
        f'storage: {{type: parquet, path: "/data/{UNSET}"}}',
        f'schedule: {{cron_schedule: "{UNSET}"}}',
        f'schedule: "{UNSET}"',
    ],
)
def test_a_variable_that_is_not_set_selects_nothing(load, line):
    """What is written and resolves to nothing, in whole or in part, is refused with the variable's name."""
    assert "environment variable NOT_SET is not set" in failure_of(load, f"{EXPORT}  {line}\n")


def test_an_empty_variable_selects_nothing(load, monkeypatch):
    """A variable that is set to nothing is not an object, either."""
    monkeypatch.setenv("NOT_SET", " ")
    reported = failure_of(
        load, f'{EXPORT}  query: {{object_type: pipeline, object_id: "{UNSET}"}}\n'
    )
    assert "resolves to nothing" in reported


@pytest.mark.parametrize("written", ["007", "1e5", "123", "1_000", "0x1F", "None", "True", "1.50"])
def test_an_id_that_looks_like_a_number_keeps_its_text(load, monkeypatch, written):
    """An id is the text that a variable holds or that YAML quotes, whatever else it could be read as."""
    monkeypatch.setenv("ID", written)
    for declared in ("{{ env.ID }}", "{{ env('ID') }}", "{{ env.EMPTY or env.ID }}", written):
        component = VectorShiftExportComponent.resolve_from_yaml(
            "name: nightly\npartitions: {type: daily, start_date: '2026-01-01'}\n"
            f'query: {{object_type: pipeline, object_id: "{declared}"}}\ntable: "{declared}"\n'
        )
        assert component.query.to_dict()["object_id"] == component.table == written


@pytest.mark.parametrize("written", ["123", "1.50", "0x1F", "true"])
def test_an_id_that_is_a_number_is_refused(load, written):
    """Without quotes YAML has made a number of it, whose text is lost."""
    reported = failure_of(
        load, f"{EXPORT}  query: {{object_type: pipeline, object_id: {written}}}\n"
    )
    assert "query" in reported
    assert "valid string" in reported


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_dg_knows_the_components(tmp_path):
    """In a project, dg lists, scaffolds and checks both components, and names key and line of a mistake."""
    project = tmp_path / "shop"
    package = project / "src" / "shop"
    (package / "defs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(
        "from pathlib import Path\nfrom dagster import definitions, load_from_defs_folder\n\n\n"
        "@definitions\ndef defs():\n"
        "    return load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    (project / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "0"\nrequires-python = ">=3.11"\n'
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop"\n'
    )

    def dg_command(*arguments):
        done = subprocess.run(
            [Path(sys.executable).parent / "dg", *arguments],
            cwd=project,
            env=os.environ
            | {
                "PYTHONPATH": str(project / "src"),
                "VIRTUAL_ENV": sys.prefix,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                # Commands that run at once would all create the tables of one instance.
                "DAGSTER_HOME": tempfile.mkdtemp(dir=tmp_path),
                "DG_CLI_CONFIG": str(tmp_path / "none.toml"),
            },
            capture_output=True,
            text=True,
            timeout=400,
        )
        return done.returncode, done.stdout + done.stderr

    names = ("VectorShiftHealthComponent", "VectorShiftExportComponent")
    created = [("scaffold", "defs", f"dagster_vectorshift.{name}", name.lower()) for name in names]
    checked = (("check", "yaml"), ("check", "defs"), ("list", "defs", "--json"))
    with ThreadPoolExecutor() as several:
        for commands in ([("list", "components"), *created], checked):
            for command, (code, reported) in zip(
                commands, several.map(lambda words: dg_command(*words), commands), strict=True
            ):
                assert code == 0, reported
                assert KEY not in reported
                if command == ("list", "components"):
                    assert all(name in reported for name in names)
    path = package / "defs" / "vectorshifthealthcomponent" / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"]["schedul"] = document["attributes"].pop("schedule")
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    line = 1 + next(
        number for number, text in enumerate(path.read_text().splitlines()) if "schedul" in text
    )
    code, reported = dg_command("check", "yaml")
    assert code != 0
    assert "schedul" in reported
    assert f"defs.yaml:{line}" in reported
