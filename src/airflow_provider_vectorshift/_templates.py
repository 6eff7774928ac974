"""Which values the triggerer can fill in, for tasks that start there.

Airflow 3.3 leaves a task deferred for ever whose template asks the triggerer for an XCom: the
process that would answer does not know the question (AIRFLOW.md 4).
"""

from typing import Any

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
"""What a template may name: it lies in the run itself, so nobody has to be asked for it."""


def check_triggerer_value(task: str, argument: str, value: Any) -> None:
    """Refuse, where the DAG is read, a value that would keep its task deferred for ever.

    Args:
        task: the operator and its task, as in `VectorShiftExportSensor 'wait'`.
        argument: the name of the argument.
        value: what was given for it, before templates are filled in.

    Raises ValueError for an XComArg, a mapped value, anything else that is no text, and a template
    that names more than the run's own parameters, conf and dates.
    """
    asked = _names(value) - _AT_HAND if isinstance(value, str) else {type(value).__name__}
    if asked:
        raise ValueError(
            f"{task}: {argument}= takes text with start_from_trigger=True, or a template of params, "
            f"dag_run and the run's dates, but not {', '.join(sorted(asked))}, which the triggerer "
            "cannot fill in: the task could stay deferred for ever. Leave start_from_trigger out."
        )


def _names(text: str) -> set[str]:
    """The names that a template asks for; the text itself where it is no template."""
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        parsed = Environment(autoescape=True).parse(text)
    except TemplateSyntaxError:
        return {repr(text)}
    return {name.name for name in parsed.find_all(nodes.Name)}
