"""What both orchestrators share is equal in both: the errors that end a task, and the options' defaults."""

import inspect
from datetime import timedelta

import dagster as dg
import pytest

from airflow_provider_vectorshift._airflow import AirflowFailException
from airflow_provider_vectorshift._connection import Settings
from airflow_provider_vectorshift.errors import failing_fast
from airflow_provider_vectorshift.operators import VectorShiftExportOperator
from dagster_vectorshift import ExportOptions, VectorShiftResource, as_dagster_failures
from tests.orchestration.test_retry_advice import OWN
from tests.sdk.test_no_silent_wrong_answer import EXAMPLES
from vectorshift.errors import RetryAdvice
from vectorshift_orchestration.exports.request import ExportOptions as Shared
from vectorshift_orchestration.landing import Landing

ERRORS = [*EXAMPLES, *OWN]
DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_final_in_both_or_in_neither(error):
    """Trying again cannot help: Airflow's retries and Dagster's policy are not asked then, and only then."""
    with pytest.raises(Exception) as airflow, failing_fast("task"):  # noqa: PT011  # of any class
        raise error
    with pytest.raises(Exception) as dagster, as_dagster_failures():  # noqa: PT011  # likewise
        raise error
    final = error.retry_advice is RetryAdvice.PERMANENT
    assert isinstance(airflow.value, AirflowFailException) is final
    assert isinstance(dagster.value, dg.Failure) is final


def test_exports_have_the_same_defaults():
    """Format, time-outs and patience stand in one place, and are what both say."""
    shared = Shared()
    operator = inspect.signature(VectorShiftExportOperator).parameters
    export = ExportOptions("x", partitions_def=DAYS)
    for name in ("timeout", "poll_interval", "late_arrival"):
        assert operator[name].default == getattr(export, name) == getattr(shared, name)
    assert operator["file_format"].default == export.format == shared.format
    assert isinstance(shared.late_arrival, timedelta)


def test_accounts_have_the_same_settings():
    """What a connection's extra can say of the account, the resource can say, too."""
    extra = set(Settings.__dataclass_fields__) - {"conn_id"}
    assert extra <= set(VectorShiftResource.model_fields)


@pytest.mark.parametrize("replace", [True, False])
def test_characters_are_replaced_in_both_by_one_argument(replace):
    """The option reaches the landing that both write through."""
    operator = VectorShiftExportOperator(
        task_id="x", table="t", duckdb_path="x.duckdb", replace_characters=replace
    )
    export = ExportOptions("x", partitions_def=DAYS, replace_characters=replace)
    assert operator.place.landing().replace_characters is replace
    assert export.placed(Landing(table="t")).replace_characters is replace
