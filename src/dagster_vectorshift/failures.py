"""What an error of ours means to Dagster: never try again, try again later, or as the user decides.

The SDK's client has already retried what it safely could, so a step must not
multiply those tries: an error that a repetition cannot change ends the step for good, and one that
names a time gives the step's slot back until then. Everything else (no answer, a failing service, a
locked database) is raised as it is, for the retry policy of the asset. What a repetition can change
is each error's own `retry_advice`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import dagster as dg

from vectorshift.errors import InternalServerError, RateLimitError, RetryAdvice, VectorshiftError
from vectorshift_orchestration.errors import SpecError, StaleWriterError, details

_Name = TypeVar("_Name")

_NAMED = 5
_POSTPONEMENTS = 3
_OVERTAKEN = 10
_DEFAULT_WAIT = 60.0
_LONGEST_WAIT = 3600.0


@contextmanager
def as_dagster_failures() -> Iterator[None]:
    """Raise what Dagster understands for the errors of the block.

    Raises `dg.Failure` that allows no retries for every error whose advice is PERMANENT, and
    `dg.RetryRequested` when the service is still limiting requests (429), or names a time in
    `Retry-After` with another refusal: after that time, an hour at most, 60 s if none was named,
    three times at most; likewise, at once and ten times at most, when another run wrote the window
    meanwhile, so that it has to be measured again. Other errors pass.
    """
    try:
        yield
    except StaleWriterError as error:
        raise dg.RetryRequested(_OVERTAKEN) from error
    except VectorshiftError as error:
        if error.retry_advice is RetryAdvice.PERMANENT:
            metadata = {f"vectorshift/{name}": value for name, value in details(error).items()}
            raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from error
        wait = getattr(error, "retry_after", None)
        if isinstance(error, RateLimitError) or (
            isinstance(error, InternalServerError) and wait is not None
        ):
            seconds = min(_DEFAULT_WAIT if wait is None else wait, _LONGEST_WAIT)
            raise dg.RetryRequested(_POSTPONEMENTS, seconds) from error
        raise


@contextmanager
def as_invalid_definition(noun: str = "") -> Iterator[None]:
    """Raise `dg.DagsterInvalidDefinitionError`, which names the noun, for a `SpecError` of the block."""
    try:
        yield
    except SpecError as problem:
        message = f"{noun}: {problem}" if noun else str(problem)
        raise dg.DagsterInvalidDefinitionError(message) from None


@contextmanager
def collected(failed: dict[_Name, VectorshiftError], name: _Name) -> Iterator[None]:
    """Note the block's error by name, so that a run goes on with its other partitions.

    What the whole run has to wait for, or to do again, is raised.
    """
    try:
        yield
    except (RateLimitError, StaleWriterError):
        raise
    except VectorshiftError as problem:
        failed[name] = problem


def require_none(failed: Mapping[str, VectorshiftError], partitions: int) -> None:
    """Raise for what failed: the error itself in a run of one partition, else one that names them."""
    if failed and partitions == 1:
        raise next(iter(failed.values()))
    if failed:
        messages = [f"{name}: {problem}" for name, problem in failed.items()]
        is_final = all(each.retry_advice is RetryAdvice.PERMANENT for each in failed.values())
        more = f" And {len(messages) - _NAMED} more." if messages[_NAMED:] else ""
        raise dg.Failure(
            f"Of the {partitions} partitions of this run these could not be written and are as they "
            f"were; all others are new. {' '.join(messages[:_NAMED])}{more}",
            metadata={"vectorshift/failed": dg.MetadataValue.json(messages)},
            allow_retries=not is_final,
        )
