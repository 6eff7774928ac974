"""The values for the charts of Airflow and Dagster: what they set exists, and what they hold can be read.

No package brings the charts or their schemas, so what is checked is what the values come to: Airflow's options and connections, Dagster's instance.
"""

import re

import dagster as dg
import pytest
import yaml

from tests.pages import ROOT

HELM = ROOT / "dags_examples" / "helm"
AIRFLOW = yaml.safe_load((HELM / "airflow.yaml").read_text())
DAGSTER = yaml.safe_load((HELM / "dagster.yaml").read_text())


@pytest.mark.airflow
@pytest.mark.parametrize("variable", AIRFLOW["env"], ids=lambda each: each["name"])
def test_each_variable_is_an_option_of_airflow(variable):
    """Airflow ignores a name that it does not know, so a mistake would go unnoticed."""
    from airflow.configuration import conf

    _, section, option = variable["name"].lower().split("__")
    assert conf.get_default_value(section, option) is not None
    assert isinstance(variable["value"], str)  # Kubernetes takes nothing else


@pytest.mark.airflow
def test_each_connection_can_be_read():
    """The variables name keys of the secret that is made, and Airflow and the provider read what they hold."""
    from airflow.models import Connection

    from airflow_provider_vectorshift._connection import Settings

    made = {
        name: yaml.safe_load(secret["stringData"])
        for name, secret in AIRFLOW["extraSecrets"].items()
    }
    connections = {
        each["envName"]: Connection(
            conn_id=each["envName"].removeprefix("AIRFLOW_CONN_").lower(),
            **_fields(made[each["secretName"]][each["secretKey"]]),
        )
        for each in AIRFLOW["secret"]
    }
    account = Settings.of(connections["AIRFLOW_CONN_VECTORSHIFT_DEFAULT"])
    assert account.rate_limit == 5
    warehouse = connections["AIRFLOW_CONN_WAREHOUSE"]
    assert (warehouse.conn_type, warehouse.schema) == ("postgres", "analytics")


def _fields(text):
    import json

    if not text.startswith("{"):
        return {"uri": text}
    fields = json.loads(text)
    return fields | {"extra": json.dumps(fields["extra"])}


def test_the_instance_loads(tmp_path):
    """Dagster takes the limits and retries as the chart writes them into dagster.yaml, in its own spelling."""
    written = {
        "concurrency": {name: DAGSTER["concurrency"][name] for name in ("pools", "runs")},
        "runRetries": DAGSTER["dagsterDaemon"]["runRetries"],
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(_snake(written)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 4


def _snake(value):
    if not isinstance(value, dict):
        return value
    return {
        re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", k): _snake(v) for k, v in value.items()
    }
