"""Airflow with a home of its own, and an emulator that its connection points at.

The settings are made here, at import, because Airflow reads them when it is first imported.
"""

import atexit
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

from tests.postgres import schemas

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "dags_examples" / "airflow"
HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def bundle(name: str, path: Path) -> dict[str, object]:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return {"name": name, "classpath": local, "kwargs": {"path": str(path)}}


os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(
        [bundle("tests", HERE / "dags"), bundle("examples", EXAMPLES)]
    ),
    AIRFLOW__CORE__DAGS_FOLDER=str(HERE / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL="0",  # a test's DAG is not the one before it
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    AIRFLOW__API_AUTH__JWT_SECRET="a secret of at least thirty-two characters",
)


@pytest.fixture(scope="session")
def metadata_database():
    """The file of Airflow's own database, empty and migrated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own start
        from airflow.utils.db import initdb

        initdb()
    return HOME / "airflow.db"


@pytest.fixture
def connect(monkeypatch):
    """Defines connection `vectorshift_default` for the test."""

    def define(**fields):
        connection = {"conn_type": "vectorshift", **fields}
        monkeypatch.setenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT", json.dumps(connection))

    return define


@pytest.fixture
def emulator(vectorshift_emulator, connect):
    """The session's emulator, as it was after each test; `vectorshift_default` is its account."""
    connect(
        host=vectorshift_emulator.base_url,
        password=vectorshift_emulator.api_key,
        extra={"time_precision": "us"},
    )
    return vectorshift_emulator


@pytest.fixture(scope="session")
def postgres_schemas():
    """A running PostgreSQL, one for the session."""
    with schemas() as created:
        yield created
