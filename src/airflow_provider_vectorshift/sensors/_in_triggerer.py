"""What a task loses that ends in the triggerer: it is refused where the DAG is read."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseSensorOperator

from airflow_provider_vectorshift._arguments import name_of

_AFTER_THE_WAIT = {
    "outlets": "outlets",
    "multiple_outputs": "multiple_outputs",
    "on_success_callback": "on_success_callback",
    "on_skipped_callback": "on_skipped_callback",
    "post_execute": "_post_execute_hook",
    "retry_policy": "retry_policy",
    "email": "email",
}
"""What Airflow loses without a word when a trigger ends the task: the argument, and the attribute it
is in. `on_failure_callback` and `on_retry_callback` are not among it: the DAG processor calls them."""

_BEFORE_THE_WAIT = {
    "on_execute_callback": "on_execute_callback",
    "pre_execute": "_pre_execute_hook",
}
"""What it loses where the task starts in the triggerer, too."""


def check_nothing_lost(task: BaseSensorOperator, *, started_there: bool) -> None:
    """Raise ValueError for an argument of a task that ends in the triggerer, if Airflow would ignore it."""
    lost = _AFTER_THE_WAIT | (_BEFORE_THE_WAIT if started_there else {})
    for argument, attribute in lost.items():
        if getattr(task, attribute, None):
            raise ValueError(_would_ignore(name_of(task), f"{argument}="))
    for method in ("pre_execute", "post_execute"):
        if method in lost and getattr(type(task), method) is not getattr(
            BaseSensorOperator, method
        ):
            raise ValueError(_would_ignore(name_of(task), f"its method {method}"))


def check_nothing_lost_mapped(task: str, arguments: Mapping[str, Any]) -> None:
    """The same for the arguments of a mapped task, which does not start in the triggerer."""
    for argument in _AFTER_THE_WAIT:
        if arguments.get(argument):
            raise ValueError(_would_ignore(task, f"{argument}="))


def _would_ignore(task: str, lost: str) -> str:
    return f"{task}: with complete_in_triggerer=True Airflow would ignore {lost}. Leave out one of them."
