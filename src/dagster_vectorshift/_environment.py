"""Values that Dagster reads from the environment, where Dagster does not run."""

import dagster as dg

from vectorshift.errors import ConfigurationError


def resolved(value: str) -> str:
    """The value of a variable that Dagster has not read: its text would be the variable's name.

    Raises `ConfigurationError` for a variable that is not set.
    """
    if not isinstance(value, dg.EnvVar):
        return value
    found = value.get_value()
    if not found:
        raise ConfigurationError(
            f"The environment variable {value.env_var_name} is not set, and a resource takes its "
            "value from there. Set it where the run executes."
        )
    return found
