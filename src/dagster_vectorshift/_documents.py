"""Options in YAML: the resolvers that turn documents into the values that Python code writes.

A template that resolves to nothing, such as a variable that is not set, would leave an option
unset, and a query without its object would select the whole account. So it is refused.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import dagster as dg
from pydantic import BaseModel

from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.arguments import described
from vectorshift_orchestration.specs import QuerySpec
from vectorshift_orchestration.specs.templates import filled_in

_ONE_VARIABLE = re.compile(r"""\{\{\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*\))\s*\}\}""")


class Document(dg.Resolvable):
    """A value that YAML may hold, field by field, each described as in the docstrings."""

    examples: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    @cache
    def model(cls) -> type[BaseModel]:
        """The model of the YAML; its schema, built only when it is requested, describes each field."""
        model = super().model()
        defaults: Any = model.model_config.get("json_schema_extra")

        def describe(schema: dict[str, Any]) -> None:
            schema.update(defaults or {})
            descriptions = described(cls)
            for name, field in schema["properties"].items():
                texts = (descriptions.get(name.removesuffix("_minutes")), field.get("description"))
                if text := " ".join(each for each in texts if each):
                    field["description"] = text
                if name in cls.examples:
                    field["examples"] = [cls.examples[name]]

        model.model_config["json_schema_extra"] = describe
        return model

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """The value that YAML states. Raises ValueError for a template that resolves to nothing."""
        for name in model.model_fields_set:
            if isinstance(written := getattr(model, name), str):
                text(context, written)
        value: Self = super().resolve_from_model(context, model)
        return value


def text(context: dg.ResolutionContext, written: Any) -> Any:
    """A value of the YAML, with its templates rendered; see `specs.templates.filled_in`."""
    return filled_in(written, context.scope)


def resolved(value: Any) -> Any:
    """The value of a variable that Dagster has not read, outside of a run; anything else as it is.

    Raises `ConfigurationError` for a variable that is not set.
    """
    if not isinstance(value, dg.EnvVar):
        return value
    content = value.get_value()
    if not content:
        raise ConfigurationError(
            f"The environment variable {value.env_var_name} is not set, and a resource reads its "
            "value. Set it where the run executes."
        )
    return content


def _env_var(context: dg.ResolutionContext, written: Any) -> Any:
    """`"{{ env.NAME }}"` as `dg.EnvVar("NAME")`; anything else as YAML and templates give it.

    Dagster would replace it with the variable's value, and copy that into the snapshot of the
    definitions, where every user of the interface can read it.
    """
    match = _ONE_VARIABLE.fullmatch(written.strip()) if isinstance(written, str) else None
    return text(context, written) if match is None else dg.EnvVar(match[1] or match[2])


def _secret(context: dg.ResolutionContext, written: Any) -> Any:
    """The same for secrets: raises ValueError for a literal value."""
    value = _env_var(context, written)
    if isinstance(value, dg.EnvVar):
        return value
    raise ValueError(
        'A key or a URL with a password is written as "{{ env.NAME }}", alone and without a default, '
        "so that Dagster keeps the variable's name. No other form is accepted."
    )


def resolver(
    document: type[dg.Resolvable],
    convert: Callable[[Any], Any] = lambda value: value,
    *,
    key: str | None = None,
    description: str | None = None,
) -> dg.Resolver:
    """A resolver that converts a document; an object that a template resolves to is used as it is.

    `key` is the option's name in YAML, if it differs; `description` is the document's docstring by
    default.
    """

    def resolve(context: dg.ResolutionContext, written: Any) -> Any:
        if isinstance(written, str):
            return text(context, written)
        return None if written is None else convert(document.resolve_from_model(context, written))

    return dg.Resolver(
        resolve,
        model_field_type=document.model() | None,
        model_field_name=key,
        inject_before_resolve=False,
        description=description or inspect.getdoc(document),
    )


def minutes(key: str) -> dg.Resolver:
    """A resolver of a time that YAML states as a number of minutes."""
    return dg.Resolver(
        lambda _, written: timedelta(minutes=written),
        model_field_name=key,
        model_field_type=float,
        description="In minutes.",
    )


TEXT = dg.Resolver(text, inject_before_resolve=False)
Text: TypeAlias = Annotated[str, TEXT]
OptionalText: TypeAlias = Annotated[str | None, TEXT]
Texts: TypeAlias = Annotated[Sequence[str], TEXT]

Secret: TypeAlias = Annotated[
    str,
    dg.Resolver(
        _secret,
        inject_before_resolve=False,
        description='The name of an environment variable, as "{{ env.NAME }}".',
    ),
]
"""A text that YAML may only name."""

FROM_ENVIRONMENT = dg.Resolver(
    _env_var,
    inject_before_resolve=False,
    description='A value, or "{{ env.NAME }}" to have it read where a run executes.',
)
"""How YAML writes or names a text."""


@dataclass(frozen=True, kw_only=True)
class _Query(Document):
    """Which events; nothing is every event. See `vectorshift_orchestration.specs.QuerySpec`.

    object_id: one object, by its id.
    object_type: all objects of a type, such as pipeline.
    kinds: kinds of events, such as pipeline.run.
    where: conditions on columns, such as {project_id: {in: [a, b]}}.
    """

    object_id: OptionalText = None
    object_type: OptionalText = None
    kinds: Texts = ()
    where: Annotated[Sequence[Mapping[str, Any]], TEXT] = ()

    def query(self) -> Any:
        """The query without a client."""
        return QuerySpec(self.object_id, self.object_type, self.kinds, self.where).query()


@dataclass(frozen=True, kw_only=True)
class _Partitions(Document):
    """Windows of time from start_date on; what belongs to another cadence is refused.

    start_date, end_date: where windows begin and end, such as 2026-01-01; with hours as 2026-01-01-00:00.
    end_offset: how many windows after the last one that has ended exist; fewer with -1.
    timezone: an IANA name, in which windows are cut; UTC unless given.
    minute_offset, hour_offset, day_offset: how much later a window begins; weeks begin on Sunday.
    fmt, cron_schedule: how keys are written, and where windows begin; both of type time_window.
    """

    type: Literal["hourly", "daily", "weekly", "time_window"]
    start_date: Text
    end_date: OptionalText = None
    end_offset: int = 0
    timezone: OptionalText = None
    minute_offset: int | None = None
    hour_offset: int | None = None
    day_offset: int | None = None
    fmt: OptionalText = None
    cron_schedule: OptionalText = None

    def definition(self) -> dg.TimeWindowPartitionsDefinition:
        """The partitions. Raises ValueError for a key that their cadence does not have."""
        create, own = _CADENCES[self.type]
        every = {name: getattr(self, name) for _, names in _CADENCES.values() for name in names}
        extra = {name: value for name, value in every.items() if value is not None}
        for name in extra.keys() ^ set(own) if self.type == "time_window" else extra.keys() - own:
            raise ValueError(
                f"Partitions of type {self.type} have {' and '.join(own)}; check {name}."
            )
        edges = ("start", "end") if self.type == "time_window" else ("start_date", "end_date")
        dates = dict(zip(edges, (self.start_date, self.end_date), strict=True))
        definition: dg.TimeWindowPartitionsDefinition = create(
            **dates, timezone=self.timezone, end_offset=self.end_offset, **extra
        )
        return definition


_CADENCES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "hourly": (dg.HourlyPartitionsDefinition, ("minute_offset",)),
    "daily": (dg.DailyPartitionsDefinition, ("minute_offset", "hour_offset")),
    "weekly": (dg.WeeklyPartitionsDefinition, ("minute_offset", "hour_offset", "day_offset")),
    "time_window": (dg.TimeWindowPartitionsDefinition, ("fmt", "cron_schedule")),
}


@dataclass(frozen=True, kw_only=True)
class _Backfill(Document):
    """How many partitions a run may have: all of them (single_run), or so many (multi_run).

    max_partitions_per_run: the most, of type multi_run.
    """

    type: Literal["single_run", "multi_run"]
    max_partitions_per_run: int = 1

    def policy(self) -> dg.BackfillPolicy:
        """The policy."""
        several = dg.BackfillPolicy.multi_run(self.max_partitions_per_run)
        return dg.BackfillPolicy.single_run() if self.type == "single_run" else several


@dataclass(frozen=True, kw_only=True)
class _Retries(Document):
    """When a step is tried again after an error that passes.

    max_retries: how often.
    delay: after how many seconds.
    backoff: how the delay grows with each try; not at all unless given.
    """

    max_retries: int = 1
    delay: float | None = None
    backoff: Literal["linear", "exponential"] | None = None

    def policy(self) -> dg.RetryPolicy:
        """The policy."""
        backoff = None if self.backoff is None else dg.Backoff[self.backoff.upper()]
        return dg.RetryPolicy(self.max_retries, self.delay, backoff)


EVENTS = resolver(_Query, _Query.query)
PARTITIONS = resolver(_Partitions, _Partitions.definition, key="partitions")
BACKFILL = resolver(_Backfill, _Backfill.policy)
RETRIES = resolver(_Retries, _Retries.policy)
