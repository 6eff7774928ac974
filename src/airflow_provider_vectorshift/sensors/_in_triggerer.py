"""Arguments that a task cannot have if it starts or ends in the triggerer.

They are refused when the DAG is parsed. Airflow 3.3 leaves a task deferred for ever whose template
reads an XCom in the triggerer: the process that would answer does not know the request.
"""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseSensorOperator

_AFTER_THE_WAIT = {
    "outlets": "outlets",
    "multiple_outputs": "multiple_outputs",
    "on_success_callback": "on_success_callback",
    "on_skipped_callback": "on_skipped_callback",
    "post_execute": "_post_execute_hook",
    "retry_policy": "retry_policy",
    "email": "email",
}
"""What Airflow silently ignores when a trigger ends the task: the argument, and its attribute.
`on_failure_callback` and `on_retry_callback` still work: the DAG processor calls them."""

_BEFORE_THE_WAIT = {
    "on_execute_callback": "on_execute_callback",
    "pre_execute": "_pre_execute_hook",
}
"""What it also ignores when the task starts in the triggerer."""


_AT_HAND = frozenset(
    {
        "params",
        "dag_run",
        "run_id",
        "logical_date",
        "data_interval_start",
        "data_interval_end",
        "ds",
        "ds_nodash",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
        "partition_key",
        "partition_date",
        "macros",
    }
)
"""What a template may name: the run itself holds it, so it needs no request."""


def check_nothing_lost(task: BaseSensorOperator, *, starts_in_triggerer: bool) -> None:
    """Raise ValueError for an argument of a task that ends in the triggerer, if Airflow would ignore it."""
    ignored = _AFTER_THE_WAIT | (_BEFORE_THE_WAIT if starts_in_triggerer else {})
    for argument, attribute in ignored.items():
        if getattr(task, attribute, None):
            raise _would_ignore(f"{argument}=")
    for method in ("pre_execute", "post_execute"):
        own = getattr(type(task), method) is not getattr(BaseSensorOperator, method)
        if method in ignored and own:
            raise _would_ignore(f"its method {method}")


def check_nothing_lost_mapped(arguments: Mapping[str, Any]) -> None:
    """The same for the arguments of a mapped task, which does not start in the triggerer."""
    for argument in _AFTER_THE_WAIT:
        if arguments.get(argument):
            raise _would_ignore(f"{argument}=")


def _would_ignore(argument: str) -> ValueError:
    return ValueError(
        f"with complete_in_triggerer=True Airflow would ignore {argument}. Leave out one of them."
    )


def check_triggerer_value(argument: str, value: Any) -> None:
    """Refuse a value, its templates not rendered, that would keep its task deferred for ever.

    Raises ValueError for an XComArg, a mapped value, anything else that is not a string, and a template
    that names more than the run's own parameters, conf and dates.
    """
    unavailable = _names(value) - _AT_HAND if isinstance(value, str) else {type(value).__name__}
    if unavailable:
        raise ValueError(
            f"{argument}= takes text with start_from_trigger=True, or a template of params, dag_run "
            f"and the run's dates, but not {', '.join(sorted(unavailable))}, which the triggerer cannot "
            "render: the task could stay deferred for ever. Leave start_from_trigger out."
        )


def _names(text: str) -> set[str]:
    """The names that a template uses; the string itself if it is not a template."""
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        parsed = Environment(autoescape=True).parse(text)
    except TemplateSyntaxError:
        return {repr(text)}
    return {name.name for name in parsed.find_all(nodes.Name)}
