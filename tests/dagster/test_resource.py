"""The resource: its key stays secret, its client ends with the run, a wrong key fails the run."""

import subprocess
import sys
import time
from datetime import timedelta

import dagster as dg
import pytest

from dagster_vectorshift import VectorShiftResource, as_dagster_failures
from tests.days import MIDNIGHT
from tests.sdk.certificates import Authority
from tests.sdk.scripted import serving
from vectorshift.errors import (
    AnalyticsDownloadFailed,
    ApiConnectionError,
    ConfigurationError,
    InternalServerError,
)

CANARY = "sk_canary_5f1c9e"
YESTERDAY = MIDNIGHT.date() - timedelta(days=1)


def in_definitions(key, build, storage):
    """What Dagster keeps of definitions with this key: snapshots, as they go to the web server."""
    defs = dg.Definitions(
        assets=[build()], resources={"vectorshift": VectorShiftResource(api_key=key), **storage}
    )
    job = defs.resolve_implicit_global_asset_job_def()
    return dg.serialize_value(job.get_job_snapshot())


@pytest.fixture
def storage():
    """Any storage: nothing is written."""
    return {"storage": dg.ResourceDefinition.hardcoded_resource(None)}


def test_the_key_from_a_variable_is_kept_nowhere(monkeypatch, build, storage):
    """With EnvVar, definitions hold the variable's name and not the key; the control, a literal, is seen."""
    monkeypatch.setenv("CANARY_KEY", CANARY)
    stored = in_definitions(dg.EnvVar("CANARY_KEY"), build, storage)
    assert CANARY not in stored
    assert "CANARY_KEY" in stored
    assert CANARY in in_definitions(CANARY, build, storage)


def test_a_run_leaves_the_key_nowhere(monkeypatch, build, emulator, runs, tmp_path, capfd):
    """After runs that log the resource, one of them failing, no file and no output holds the key."""
    monkeypatch.setenv("CANARY_KEY", CANARY)

    @dg.asset
    def talkative(context: dg.AssetExecutionContext, vectorshift: VectorShiftResource) -> None:
        context.log.info("%r %s %r", vectorshift, vectorshift, vectorshift.get_client())
        sys.stdout.write(f"{vectorshift}\n")
        with as_dagster_failures():
            vectorshift.get_client().query().count()

    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        resource = VectorShiftResource(api_key=dg.EnvVar("CANARY_KEY"), base_url=emulator.base_url)
        failed = dg.materialize(
            [talkative],
            resources={"vectorshift": resource},
            instance=instance,
            raise_on_error=False,
        )
        assert not failed.success
        messages = [entry.message for entry in instance.all_logs(failed.run_id)]
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    out, err = capfd.readouterr()
    for place in (stored.decode(errors="replace"), "\n".join(messages), out, err):
        assert CANARY not in place
    assert emulator.base_url in out
    assert emulator.base_url.encode() in stored


def test_outside_of_dagster_a_variable_is_read(monkeypatch, emulator):
    """In a notebook the key is the variable's value, never its name."""
    monkeypatch.setenv("CANARY_KEY", emulator.api_key)
    monkeypatch.setenv("CANARY_URL", emulator.base_url)
    resource = VectorShiftResource(
        api_key=dg.EnvVar("CANARY_KEY"), base_url=dg.EnvVar("CANARY_URL")
    )
    assert resource.get_client().query().count()["count"] > 0
    assert "CANARY_KEY" not in repr(resource)
    resource.close()


def test_a_missing_variable_is_named(monkeypatch):
    """A variable that is not set is an error that names it, before anything is sent."""
    monkeypatch.delenv("CANARY_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="CANARY_KEY is not set"):
        VectorShiftResource(api_key=dg.EnvVar("CANARY_KEY")).get_client()


def test_the_client_lives_as_long_as_the_run(emulator):
    """One client serves a run, and its connections are closed when the run ends."""
    resource = VectorShiftResource(api_key=emulator.api_key, base_url=emulator.base_url)
    with dg.build_resources({"vectorshift": resource}) as running:
        client = running.vectorshift.get_client()
        assert running.vectorshift.get_client() is client
        client.query().count()
    assert running.vectorshift.get_client() is not client
    running.vectorshift.close()


def test_the_client_waits_as_long_as_it_is_set_to(emulator):
    """`retries` is how often a failed call is tried again, before the step's own retries."""
    emulator.fault("*", "status", times=0, code=503)
    for retries in (0, 2):
        account = VectorShiftResource(
            api_key=emulator.api_key, base_url=emulator.base_url, retries=retries
        )
        emulator.reset_counters()
        with pytest.raises(InternalServerError):
            account.get_client().query().count()
        account.close()
        assert sum(emulator.counters()["requests"].values()) == 1 + retries
    with pytest.raises(ConfigurationError, match="retries"):
        VectorShiftResource(api_key="sk", retries=-1).get_client()


def test_requests_keep_their_distance(emulator):
    """`rate_limit` spaces the requests of a process; a rate that is none is refused."""
    account = VectorShiftResource(
        api_key=emulator.api_key, base_url=emulator.base_url, rate_limit=20
    )
    started = time.monotonic()
    for _ in range(5):
        account.get_client().query().count()
    assert time.monotonic() - started >= 4 / 20
    account.close()
    with pytest.raises(ConfigurationError, match="rate_limit"):
        VectorShiftResource(api_key="sk", rate_limit=0).get_client()


def test_a_bundle_is_trusted_in_place_of_the_usual_authorities(tmp_path, monkeypatch):
    """`verify` is the path of a CA bundle, also from a variable; without it the same server gets no key."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("CA_BUNDLE", str(authority.bundle))
    counted = {"status": "success", "count": 1}
    with serving(counted, tls=authority.server("127.0.0.1")) as service:
        arguments = {"api_key": "sk_x", "base_url": service.base_url, "retries": 0}
        trusting = VectorShiftResource(verify=dg.EnvVar("CA_BUNDLE"), **arguments)
        assert trusting.get_client().query().count() == {"count": 1}
        trusting.close()
        doubtful = VectorShiftResource(**arguments)
        with pytest.raises(ApiConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            doubtful.get_client().query().count()
        doubtful.close()
    (tmp_path / "none.txt").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="CA bundle"):
        VectorShiftResource(api_key="sk", verify=str(tmp_path / "none.txt")).get_client()


def test_a_wrong_key_fails_once(runs, build, emulator):
    """A key that the service refuses ends the step for good, whatever retries the asset allows."""
    health = build(retry_policy=dg.RetryPolicy(max_retries=3))
    emulator.reset_counters()
    failed = runs(health, YESTERDAY, key="sk_wrong", raise_on_error=False)
    assert not failed.success
    assert not [event for event in failed.all_events if event.is_step_up_for_retry]
    assert emulator.counters()["requests"] == {"aggregations": 1}
    reported = failed.all_node_events[-1].event_specific_data.user_failure_data
    assert "HTTP 401" in reported.description
    assert reported.metadata["vectorshift/error"].value == "AuthenticationError"
    assert reported.metadata["vectorshift/status_code"].value == 401
    assert runs.sql("SELECT table_name FROM duckdb_tables()") == []


def test_a_base_url_without_its_version_fails_at_once_and_is_named(emulator):
    """What every call is answered with 404 is the address: the step is not tried again, and says so."""
    resource = VectorShiftResource(
        api_key=emulator.api_key, base_url=emulator.base_url.removesuffix("/v1")
    )
    with pytest.raises(dg.Failure, match="may lack its /v1") as caught, as_dagster_failures():
        resource.get_client().query().count()
    assert caught.value.allow_retries is False
    resource.get_client().close()


def test_retries_are_for_errors_that_pass(runs, build, emulator):
    """A reply that is not a reply is tried again by the asset's own policy, and then succeeds."""
    emulator.fault("aggregations", "not_json")
    health = build(retry_policy=dg.RetryPolicy(max_retries=1))
    assert runs(health, YESTERDAY).success
    assert emulator.counters()["requests"] == {"aggregations": 2}


def test_importing_loads_dagster_and_nothing_else_that_is_heavy():
    """A code server that loads every name loads no database, no Arrow and no HTTP library with it."""
    script = (
        "import sys, dagster; top = lambda: {name.partition('.')[0] for name in sys.modules};"
        "before = top(); from dagster_vectorshift import *;"
        "print(*sorted(top() - before - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [
        "dagster_vectorshift",
        "msgspec",
        "vectorshift",
        "vectorshift_orchestration",
    ]


@pytest.mark.parametrize(("proxied", "told"), [(None, "refused"), (False, "has no address")])
def test_files_may_be_kept_off_the_proxy(monkeypatch, tmp_path, proxied, told):
    """A file takes the proxy of calls, here one that is not there, unless the account says otherwise."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    account = VectorShiftResource(api_key="sk", retries=0, proxied_downloads=proxied)
    task = {"download_url": "https://files.invalid/out.csv", "format": "CSV"}
    with pytest.raises(AnalyticsDownloadFailed, match=told):
        account.get_client().download_export(task, tmp_path / "out.csv")
    account.close()
