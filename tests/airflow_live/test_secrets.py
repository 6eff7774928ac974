"""Key, database password and signed URL are in no log and nowhere in Airflow's database."""

import secrets

import pytest

from tests.airflow.running import truth
from tests.airflow_live.accounts import measured, release
from tests.airflow_live.conftest import API_KEY
from tests.airflow_live.sweep import SIGNATURE, forms_of, found_in, sinks
from vectorshift import Client

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
CONTROLLED = {
    "task logs",
    *(f"log of the {name}" for name in ("api-server", "scheduler", "triggerer")),
    *(
        f"table {name}"
        for name in (
            *("xcom", "dag_run", "rendered_task_instance_fields", "trigger"),
            *("task_state_store", "asset_event"),
        )
    ),
}
"""Where a value that is let out on purpose has to be found, or the search is worth nothing."""


@pytest.fixture
def planted(stack, accounts):
    """A value that is everywhere while the test runs, by ways that have nothing to do with ours."""
    value = f"planted-{secrets.token_hex(12)}"
    stack.until(lambda: measured(accounts["watch"]), "the watcher polls")
    accounts["watch"].burst(25, error_message=f"about {value}")
    run_id = stack.rest.trigger("leak", conf={"value": value})
    stack.state("leak", run_id, "wait", "deferred")
    stack.rest.ask("GET", "/dags", params={"dag_id_pattern": value})
    stack.until(
        lambda: value in stack.components["triggerer"].log.read_text(), "the alert is in the log"
    )
    yield value
    stack.rest.mark("leak", run_id, "wait", "failed")


def test_secrets(stack, accounts, warehouse, day, planted, figures):
    """While an export is deferred and after it landed, 0 hits; the planted value is found in each place."""
    account = accounts["canary"]
    assert SIGNATURE.search(signed_url(accounts["sensor"]))
    run_id = stack.rest.trigger("canary", (day.start, day.end))
    stack.state("canary", run_id, "export", "deferred")
    deferred = sinks(stack)
    release(account)
    assert stack.ended("canary", run_id) == "success"
    assert warehouse.rows("canary") == truth(account, day) != []
    landed = sinks(stack)
    export_id = stack.rest.xcom("canary", run_id, "export")["task_id"]
    stored = {"table trigger", "table task_instance", "table task_state_store"}
    assert stored <= found_in(
        forms_of(export_id), deferred
    )  # what is under way was really looked at
    for where in (deferred, landed):
        assert found_in(forms_of(planted), where) >= CONTROLLED
        assert found_in(forms_of(API_KEY), where) == set()
        assert found_in(forms_of(warehouse.password), where) == set()
        assert found_in(SIGNATURE, where) == set()
        assert where["table connection"] == ""  # they are in the environment
    figures["sweep"] = {
        "sinks": len(landed),
        "characters": sum(map(len, landed.values())),
        "hits": 0,
    }


def signed_url(account):
    """The address of a ready export's file, with its signature."""
    with Client(api_key=account.api_key, base_url=account.base_url) as client:
        return client.query().export_and_wait("CSV", "everything.csv")["download_url"]
