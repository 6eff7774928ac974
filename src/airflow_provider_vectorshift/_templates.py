"""Rendering templates on a worker."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vectorshift_orchestration.errors import SpecError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from jinja2 import Environment

_HINT = (
    "Give it a value, or leave the argument out. A run that has no data interval "
    "(triggered without a logical date, or of a plain '@daily') has no data_interval_start and _end."
)


def rendered(
    task: "BaseOperator",
    template: str,
    context: Mapping[str, Any],
    render: Callable[..., Any],
    environment: "Environment | None",
) -> Any:
    """The value of a template: a text, or the object that it stands for in a DAG of native objects.

    `render` is Airflow's own. Raises `SpecError` for a template that cannot be rendered, and for one
    whose value, or the value of an expression in it, is empty.
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
        raise SpecError(f"{template} cannot be rendered: {problem}. {_HINT}") from problem
    if isinstance(value, str) and value.strip() in ("", "None"):
        raise SpecError(_nothing(template))
    return value


def _text_environment(task: "BaseOperator") -> "Environment":
    dag = task.get_dag()
    return task.get_template_env() if dag is None else dag.get_template_env(force_sandboxed=True)


def _nothing(template: str) -> str:
    return f"{template} renders to nothing. {_HINT}"
