"""Values of YAML that must stay names of variables until a run reads them."""

import re
from typing import Annotated, Any

import dagster as dg

_VARIABLE = re.compile(r"""\{\{\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*\))\s*\}\}""")


def to_env_var(context: dg.ResolutionContext, written: Any) -> Any:
    """`"{{ env.NAME }}"` as `dg.EnvVar("NAME")`; anything else as YAML and templates have it.

    Dagster would put the variable's value in its place, and copy that into the snapshot of the
    definitions, where anybody with the interface can read it (DAGSTER.md 2a).
    """
    found = _VARIABLE.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        return context.resolve_value(written)
    return dg.EnvVar(found[1] or found[2])


def to_secret(context: dg.ResolutionContext, written: Any) -> Any:
    """`to_env_var` for what must never be written down: raises `ValueError` for a literal value."""
    value = to_env_var(context, written)
    if isinstance(value, dg.EnvVar):
        return value
    raise ValueError(
        'A key or a URL with a password is written as "{{ env.NAME }}", alone and without a default, '
        "so that Dagster keeps the variable's name. Nothing else is taken here."
    )


Secret = Annotated[
    Any,
    dg.Resolver(
        to_secret,
        model_field_type=str,
        inject_before_resolve=False,
        description='The name of an environment variable, as "{{ env.NAME }}".',
    ),
]
FromEnvironment = Annotated[
    Any,
    dg.Resolver(
        to_env_var,
        model_field_type=str | None,
        inject_before_resolve=False,
        description='A value, or "{{ env.NAME }}" to have it read where a run executes.',
    ),
]
