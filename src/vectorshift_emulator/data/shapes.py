"""The shapes of generated traces: which spans a trace has, how they nest and when they run."""

from __future__ import annotations

from dataclasses import dataclass

from vectorshift_emulator.data.catalogue import ENTITIES


@dataclass(frozen=True)
class Span:
    """One span of a shape.

    ``begin`` and ``end`` are thousandths of the root's duration, ``parent`` is the index of the
    span around it (-1 for the root), and an LLM node bears the part of the run's tokens from
    ``share[0]`` to ``share[1]`` thousandths. ``breaks`` marks the spans that fail with the run.
    """

    kind: str
    node_type: str | None = None
    parent: int = 0
    begin: int = 0
    end: int = 1000
    share: tuple[int, int] | None = None
    breaks: bool = False


@dataclass(frozen=True)
class Shape:
    """A trace: its spans (parents first, so that every prefix is a tree) and its root's nature."""

    entity: str
    median_ms: int
    spans: tuple[Span, ...]
    weight: int = 0
    uses_model: bool = True

    @property
    def root_kind(self) -> str:
        """Kind of the root span, like ``pipeline.run``."""
        return self.spans[0].kind

    @property
    def is_run(self) -> bool:
        """Whether the root counts as a run: ``*.run`` and ``pipeline.bulk_run`` do."""
        return self.root_kind.endswith((".run", ".bulk_run"))


def _root(kind: str) -> Span:
    return Span(kind, parent=-1, breaks=True)


def _llm(
    entity: str, begin: int, end: int, parent: int = 0, share: tuple[int, int] = (0, 1000)
) -> Span:
    last = share[1] == 1000
    return Span(f"{entity}.node", "llm", parent, begin, end, share, breaks=last)


def _node(entity: str, node_type: str, begin: int, end: int, parent: int = 0) -> Span:
    return Span(f"{entity}.node", node_type, parent, begin, end)


_PIPELINES = (
    Shape(
        "pipeline",
        2400,
        (
            _root("pipeline.run"),
            _node("pipeline", "input", 0, 20),
            _node("pipeline", "knowledge_base", 20, 250),
            _llm("pipeline", 250, 930),
            _node("pipeline", "output", 930, 1000),
        ),
        weight=18,
    ),
    Shape(
        "pipeline",
        6800,
        (
            _root("pipeline.run"),
            _node("pipeline", "input", 0, 10),
            Span("pipeline.node", "agent", 0, 10, 950, breaks=True),
            _llm("pipeline", 10, 300, parent=2, share=(0, 400)),
            _node("pipeline", "api", 300, 500, parent=2),
            _node("pipeline", "transform", 310, 480, parent=4),
            _llm("pipeline", 500, 950, parent=2, share=(400, 1000)),
            _node("pipeline", "output", 950, 1000),
        ),
        weight=8,
    ),
    Shape(
        "pipeline",
        450,
        (
            _root("pipeline.run"),
            _node("pipeline", "input", 0, 40),
            Span("pipeline.node", "api", 0, 40, 900, breaks=True),
            _node("pipeline", "output", 900, 1000),
        ),
        weight=6,
        uses_model=False,
    ),
    Shape("pipeline", 1300, (_root("pipeline.run"),), weight=6),
    Shape(
        "pipeline",
        24000,
        (
            _root("pipeline.bulk_run"),
            _node("pipeline", "pipeline", 0, 330),
            _llm("pipeline", 50, 320, parent=1, share=(0, 300)),
            _node("pipeline", "pipeline", 330, 640),
            _llm("pipeline", 360, 620, parent=3, share=(300, 650)),
            Span("pipeline.node", "pipeline", 0, 640, 1000, breaks=True),
            _llm("pipeline", 670, 980, parent=5, share=(650, 1000)),
        ),
        weight=2,
    ),
)

_CHATBOTS = (
    Shape(
        "chatbot",
        1800,
        (
            _root("chatbot.run"),
            Span("chatbot.fetch_kb_data", "knowledge_base", 0, 10, 240),
            _llm("chatbot", 240, 990),
        ),
        weight=14,
    ),
    Shape(
        "chatbot",
        1500,
        (_root("chatbot.run"), _llm("chatbot", 10, 960), _node("chatbot", "output", 960, 1000)),
        weight=8,
    ),
    Shape(
        "chatbot",
        3900,
        (
            _root("chatbot.run"),
            Span("chatbot.file_upload", None, 0, 0, 150),
            Span("chatbot.fetch_kb_data", "knowledge_base", 0, 150, 400),
            _llm("chatbot", 400, 990),
        ),
        weight=3,
    ),
    Shape("chatbot", 12, (_root("chatbot.message_like"),), weight=4, uses_model=False),
    Shape("chatbot", 8, (_root("chatbot.terminate"),), weight=1, uses_model=False),
)

_SEARCHES = (
    Shape(
        "search",
        900,
        (
            _root("search.run"),
            Span("search.fetch_kb_data", "knowledge_base", 0, 0, 420),
            _llm("search", 420, 1000),
        ),
        weight=5,
    ),
    Shape(
        "search",
        2100,
        (
            _root("search.run"),
            Span("search.chat_with_docs", None, 0, 50, 980, breaks=True),
            _llm("search", 200, 970, parent=1),
        ),
        weight=2,
    ),
    Shape(
        "search",
        1700,
        (
            _root("search.run"),
            Span("search.doc_qna", None, 0, 30, 980, breaks=True),
            _llm("search", 150, 970, parent=1),
        ),
        weight=2,
    ),
    Shape("search", 11, (_root("search.message_feedback"),), weight=1, uses_model=False),
    Shape("search", 8, (_root("search.terminate"),), weight=1, uses_model=False),
)

_OTHERS = (
    Shape(
        "form",
        2000,
        (
            _root("form.run"),
            _node("form", "input", 0, 30),
            _llm("form", 30, 950),
            _node("form", "output", 950, 1000),
        ),
        weight=4,
    ),
    Shape(
        "form",
        2600,
        (
            _root("form.run"),
            Span("form.chat", None, 0, 20, 980, breaks=True),
            _llm("form", 40, 960, parent=1),
        ),
        weight=2,
    ),
    Shape(
        "voicebot",
        45000,
        (
            _root("voicebot.run"),
            _node("voicebot", "api", 0, 200),
            _llm("voicebot", 200, 700),
            _node("voicebot", "api", 700, 1000),
        ),
        weight=5,
    ),
    Shape(
        "bulkjob",
        60000,
        (
            _root("bulkjob.run"),
            Span("bulkjob.io_nodes", "input", 0, 0, 60),
            Span("bulkjob.fetch_kb_data", "knowledge_base", 0, 60, 200),
            _llm("bulkjob", 200, 940),
            Span("bulkjob.io_nodes", "output", 0, 940, 1000),
        ),
        weight=3,
    ),
    Shape(
        "session",
        420000,
        (
            _root("session.create"),
            Span("session.add_message", None, 0, 10, 12),
            Span("session.add_message", None, 0, 300, 301),
            Span("session.add_message", None, 0, 980, 981),
        ),
        weight=4,
        uses_model=False,
    ),
    Shape("portal", 300, (_root("portal.create"),), weight=1, uses_model=False),
)

_SHAPES = (*_PIPELINES, *_CHATBOTS, *_SEARCHES, *_OTHERS)


def _spread(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Repeat every shape ``weight`` times, evenly mixed; a common pipeline run comes first."""
    turns = [
        ((turn + 0.5) / shape.weight, index)
        for index, shape in enumerate(shapes)
        for turn in range(shape.weight)
    ]
    return tuple(shapes[index] for _, index in sorted(turns))


CYCLE = _spread(_SHAPES)
"""The generator's rhythm: trace number i has the shape ``CYCLE[i % len(CYCLE)]``."""

SOLO = {
    entity: Shape(
        entity, 1200, (_root(_root_kind),), uses_model=entity not in ("session", "portal")
    )
    for entity, _root_kind in (
        (name, {"session": "session.create", "portal": "portal.create"}.get(name, f"{name}.run"))
        for name in ENTITIES
    )
}
"""One lone root span per entity: what a burst is made of."""
