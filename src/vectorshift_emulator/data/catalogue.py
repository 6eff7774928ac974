"""The invented organisation whose events the generator writes: objects, models, people and texts.

Everything here is fixed, so the same seed gives the same events. Some texts are awkward on purpose
(commas, quotes, line breaks, other alphabets, a leading ``=``): exports must carry them unharmed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from statistics import NormalDist

ENTITIES = ("pipeline", "chatbot", "search", "form", "voicebot", "bulkjob", "session", "portal")
"""The eight entities that have kinds of events (docs/contract.md A7)."""

CREDITS_PER_USD = 1000
"""AI credits are a credit view of model costs (docs/contract.md F): one is a tenth of a cent here."""


@dataclass(frozen=True)
class Model:
    """A language model. Prices are nano-USD per token, which is micro-USD per 1k tokens."""

    model_id: str
    prompt_price: int
    completion_price: int

    def nano_usd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return what a call costs, in whole nano-USD, so that no rounding is involved."""
        return prompt_tokens * self.prompt_price + completion_tokens * self.completion_price


MODELS = (
    Model("gpt-4o", 2_500, 10_000),
    Model("gpt-4o-mini", 150, 600),
    Model("claude-sonnet-4", 3_000, 15_000),
    Model("claude-3-5-haiku", 800, 4_000),
    Model("gemini-2.0-flash", 100, 400),
    Model("llama-3.3-70b", 590, 790),
)


@dataclass(frozen=True)
class Object:
    """A resource of the organisation. ``share`` is its part of its entity's events."""

    object_id: str
    name: str
    entity: str
    project_id: str | None
    model_id: str | None
    pipeline_id: str | None
    share: int = 1
    failures_per_1024: int = 24

    @property
    def info(self) -> str:
        """The ``object_info`` of its events, as compact JSON text."""
        info = {"id": self.object_id, "name": self.name, "type": self.entity, "version": 3}
        return json.dumps(info, ensure_ascii=False, separators=(",", ":"))


_NAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pipeline": (
        "pl",
        (
            "Invoice triage",
            "Contract summary, EU",
            'Lead "fast lane" scoring',
            "Résumé parser",
            "=Totals report",
            "Ticket router",
            "Weekly digest",
            "Translation 日本語",
        ),
    ),
    "chatbot": (
        "cb",
        (
            "Support assistant",
            'HR "ask me"',
            "Sales helper, West",
            "客服助手",
            "IT desk",
            "Billing bot",
        ),
    ),
    "search": ("se", ("Handbook search", "Policy search, legal", "Product docs", "Wiki")),
    "form": ("fm", ("Intake", "Feedback, short", "Onboarding", "Grant request")),
    "voicebot": ("vb", ("Reception", "Appointment line", "After-hours")),
    "bulkjob": ("bj", ("Nightly enrichment", "Catalogue tagging", "Backfill, 2019")),
    "session": ("ss", ("Support workspace", "Sales workspace", "Étude client")),
    "portal": ("po", ("Customer portal", "Partner portal", "Staff portal")),
}

_PROJECTS = ("prj_core", "prj_growth", "prj_ops", None)


def _object(entity: str, prefix: str, number: int, name: str, count: int) -> Object:
    pipelines = len(_NAMES["pipeline"][1])
    return Object(
        object_id=f"{prefix}_{number}",
        name=name,
        entity=entity,
        project_id=_PROJECTS[(number - 1) % len(_PROJECTS)],
        model_id=None if entity == "portal" else MODELS[(number - 1) % len(MODELS)].model_id,
        pipeline_id=None
        if entity in ("session", "portal")
        else f"pl_{(number - 1) % pipelines + 1}",
        share=count - number + 1,
        failures_per_1024=92 if number == 3 else 24,
    )


OBJECTS = tuple(
    _object(entity, prefix, number, name, len(names))
    for entity, (prefix, names) in _NAMES.items()
    for number, name in enumerate(names, start=1)
)
"""Every object. Ids are ``<prefix>_<number>``, like ``pl_1``. The third of an entity is flaky."""


def objects_of(entity: str) -> list[Object]:
    """Return the objects of one entity, the busiest first."""
    return [item for item in OBJECTS if item.entity == entity]


USERS = tuple(
    f"{name}@{host}"
    for host in ("acme.example", "müller.example", "partner.example")
    for name in ("ana", "bo", "chloé", "dmitri", "emeka", "fatima", "o'neil", "hana")
)
"""E-mail addresses; the user id of number n (from 1) is ``u_n``."""

SOURCES: dict[str, tuple[str, ...]] = {
    "pipeline": ("api", "api", "api", "schedule", "web"),
    "chatbot": ("web", "web", "web", "slack", "api"),
    "search": ("web", "api"),
    "form": ("web",),
    "voicebot": ("twilio",),
    "bulkjob": ("schedule", "api"),
    "session": ("web", "slack"),
    "portal": ("web",),
}
"""Where an entity's events come from; a source listed more often is more frequent."""

ERRORS = (
    "Model rate limit exceeded: retry after 20 s",
    "Model quota exceeded for organisation, key ending in 91af",
    'Node "llm_0" timed out after 60000 ms',
    "Knowledge base not found: kb_42",
    "Traceback (most recent call last):\n  node 3, line 7\nValueError: invalid literal, '1,5'",
    "Context length exceeded: 131072 tokens",
    "=HTTP 502 from upstream; body: <html>",
    "Ungültige Eingabe: Feld „Straße“ fehlt",
)
OUTAGE_ERRORS = (
    "Upstream service unavailable: connection refused",
    "Model rate limit exceeded: retry after 20 s",
    "Credentials of integration expired, reconnect it",
)
SKIPPED = "Skipped: an earlier node failed"

SESSION_NAMES = (
    "Refund for order 4411",
    'Printer says "PC LOAD LETTER"',
    "Address change, two people",
    "=SUM(A1) does not work",
    "Línea 1\nLínea 2",
    "请问发票",
    "Password reset",
    "Trial extension",
)

DIALOGUES = tuple(
    json.dumps({"input": question, "output": answer}, ensure_ascii=False, separators=(",", ":"))
    for question, answer in (
        ("Where is my invoice?", "It was sent on Monday."),
        ('What does "net 30" mean?', "Payable within 30 days, no discount."),
        ("Summarise:\n1) costs\n2) dates", "Costs fell; dates hold."),
        ("=1+1", "2"),
        ("¿Dónde está mi pedido?", "En camino 🚚, llega mañana."),
        ("Compare plans A, B, C", "A is cheap, B is fast, C is both."),
        ("发票在哪里?", "已发送。"),
        ("Tab\there", "Yes, a tab."),
    )
)
"""What went in and out of a run, as the compact JSON text of ``interface_data``."""


def lognormal_per_mille(size: int, sigma: float) -> list[int]:
    """Return ``size`` quantiles of a log-normal with median 1, in thousandths.

    They are whole numbers, so the generator needs no floating-point function at run time and its
    rows do not depend on the machine.
    """
    normal = NormalDist(0, sigma)
    return [round(1000 * math.exp(normal.inv_cdf((k + 0.5) / size))) for k in range(size)]
