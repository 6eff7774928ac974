"""Handles for `object=`: a type and an id, nothing else. Any other object with an id works as well.

Source: docs/contract.md B2 (scope resolution).
"""

from dataclasses import dataclass
from typing import ClassVar

from vectorshift.analytics._enums import EventKind, kinds_of


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that emits events, named by its id."""

    id: str
    _analytics_kinds: ClassVar[tuple[EventKind, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._analytics_kinds = kinds_of(cls.__name__.lower())


class Pipeline(Resource):
    """A pipeline: `Pipeline("pl_1")`."""

    __slots__ = ()


class Chatbot(Resource):
    """A chatbot."""

    __slots__ = ()


class Agent(Resource):
    """An agent; it has no event kinds of its own, so it scopes by id only."""

    __slots__ = ()


class Form(Resource):
    """A form."""

    __slots__ = ()


class Search(Resource):
    """A search."""

    __slots__ = ()


class Voicebot(Resource):
    """A voicebot."""

    __slots__ = ()


class Session(Resource):
    """A session."""

    __slots__ = ()


class Bulkjob(Resource):
    """A bulk job."""

    __slots__ = ()


class Portal(Resource):
    """A portal."""

    __slots__ = ()
