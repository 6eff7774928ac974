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

HERE = Path(__file__).parent
HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(HERE / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    AIRFLOW__API_AUTH__JWT_SECRET="a secret of at least thirty-two characters",
)


@pytest.fixture(scope="session")
def metadata_database():
    """Airflow's database, empty and migrated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own start
        from airflow.utils.db import initdb

        initdb()


@pytest.fixture
def emulator(vectorshift_emulator, monkeypatch):
    """The session's emulator, as it was after each test; `vectorshift_default` is its account."""
    connect(monkeypatch, vectorshift_emulator.base_url, vectorshift_emulator.api_key)
    return vectorshift_emulator


def connect(monkeypatch, host, password, **fields):
    """Define connection `vectorshift_default`."""
    connection = {"conn_type": "vectorshift", "host": host, "password": password, **fields}
    monkeypatch.setenv("AIRFLOW_CONN_VECTORSHIFT_DEFAULT", json.dumps(connection))
