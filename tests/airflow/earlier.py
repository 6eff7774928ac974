"""What `dag.test()` of Airflow 3.1 and 3.2 leaves out, done as its DAG processor and its workers do it."""

from datetime import datetime

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.sdk.execution_time import task_runner

try:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag, sync_bag_to_db

_finalize = task_runner.finalize
_first_look = task_runner.RuntimeTaskInstance.get_first_reschedule_date


def finalize(ti, state, context, log, error=None):
    """End a task with the error in its context, where callbacks look for it."""
    context["exception"] = error
    _finalize(ti, state, context, log, error)


def first_look(ti, context):
    """When a rescheduled sensor first looked: `dag.test()` of Airflow 3.1.2 and 3.1.3 hands on the text of a reply."""
    found = _first_look(ti, context)
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def read_dags(folder):
    """A folder's DAGs by id, stored as they are now: `dag.test()` stores one only once."""
    task_runner.finalize = finalize
    task_runner.RuntimeTaskInstance.get_first_reschedule_date = first_look
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(folder)
    sync_bag_to_db(bag, "tests", None)
    return bag.dags
