"""What both orchestrators' workers share: a bucket, a database, a broker. `make workers` runs them."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests import redis_server
from tests.airflow_live.landing import warehouse_in
from tests.orchestration.s3_server import s3_server
from tests.postgres import server

collect_ignore_glob = [] if "WORKERS_EXPORTS" in os.environ else ["test_*.py"]
"""They need packages that the lock of the tests does not hold, and many processes."""


@pytest.fixture
def show(request):
    """Print what a test measured."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    return lambda figures: reporter.write_line(
        f"\n{request.node.name}: {json.dumps(figures, indent=1)}"
    )


@pytest.fixture(scope="module")
def home():
    """A folder for all that a module's processes write."""
    made = Path(tempfile.mkdtemp(prefix="workers-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres():
    """Connection string of a PostgreSQL server of its own, as its superuser."""
    with server() as made:
        yield made.conninfo


@pytest.fixture(scope="module")
def warehouse(postgres):
    """The database that everything lands in."""
    return warehouse_in(postgres)


@pytest.fixture(scope="module")
def broker(home):
    """URL of the Redis server that the workers take their messages from."""
    with redis_server.server(home) as url:
        yield url


@pytest.fixture(scope="module")
def bucket():
    """A bucket that every worker reaches."""
    with s3_server() as service:
        service.path("lake").mkdir()
        yield service
