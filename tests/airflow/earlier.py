"""What `dag.test()` of Airflow 3.1 and 3.2 leaves out, done as its DAG processor and its workers do it."""

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.sdk.execution_time import task_runner

try:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag, sync_bag_to_db

_finalize = task_runner.finalize


def finalize(ti, state, context, log, error=None):
    """End a task with the error in its context, where callbacks look for it."""
    context["exception"] = error
    _finalize(ti, state, context, log, error)


def read_dags(folder):
    """A folder's DAGs by id, stored as they are now: `dag.test()` stores one only once."""
    task_runner.finalize = finalize
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(folder)
    sync_bag_to_db(bag, "tests", None)
    return bag.dags
