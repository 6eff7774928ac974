"""How templates are filled in: on a worker, and which of them a triggerer can fill in.

Airflow 3.3 leaves a task deferred for ever whose template asks the triggerer for an XCom: the
process that would answer does not know the question.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from jinja2 import Environment

_WAY_OUT = (
    "Give it a value, or leave the argument out if nothing is meant. A run that has no data interval "
    "(by hand without a logical date, or of a plain '@daily') has no data_interval_start and _end."
)

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


def filled_in(
    task: "BaseOperator",
    template: str,
    context: Mapping[str, Any],
    render: Callable[..., Any],
    environment: "Environment | None",
) -> Any:
    """The value of a template: a text, or the object that it stands for in a DAG of native objects.

    `render` is Airflow's own. Raises `SpecError` for a template that cannot be filled in, and for one
    whose value, or the value of an expression in it, is nothing.
    """
    from jinja2 import TemplateError, Undefined

    def something(value: Any) -> Any:
        if value is None or isinstance(value, Undefined):
            raise SpecError(_nothing(template))
        return value

    checked = (environment or task.get_template_env()).overlay(finalize=something)
    try:
        value = render(template, context, checked)
        if isinstance(value, bool | int | float | complex):
            # A native number was a text: an id in digits, or with an e between them.
            texts = _text_environment(task).overlay(finalize=something)
            value = texts.from_string(template).render(context)
    except (TemplateError, TypeError, AttributeError) as problem:
        raise SpecError(f"{template} cannot be filled in: {problem}. {_WAY_OUT}") from problem
    if isinstance(value, str) and value.strip() in ("", "None"):
        raise SpecError(_nothing(template))
    return value


def _text_environment(task: "BaseOperator") -> "Environment":
    dag = task.get_dag()
    return task.get_template_env() if dag is None else dag.get_template_env(force_sandboxed=True)


def _nothing(template: str) -> str:
    return f"{template} comes out as nothing. {_WAY_OUT}"


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
