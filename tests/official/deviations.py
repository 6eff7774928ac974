"""Where our requests differ from the official client's on purpose, and what must be sent instead.

A deviation rewrites a chain that it concerns: into chains which the official client encodes as we
must (with an edit for what it cannot encode at all), or into the error that must be raised before
anything is sent. A deviating chain is therefore compared with something exact, like any other.
docs/wire-format.md lists the same names; a test keeps the two equal.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.official import alternatives, refusals, scopes, spellings
from tests.official.outcomes import Outcome, Raises, Sent, of_query
from tests.official.vocabulary import Chain


@dataclass(frozen=True)
class Deviation:
    """One difference; `rewrite` gives None for a chain that it leaves alone."""

    name: str
    reason: str
    rewrite: Callable[[Chain], Outcome | None]


# In order of application: a later one reads the chain as the earlier ones have put it.
DEVIATIONS = (
    Deviation(
        "refused values",
        "The page files a bad enum, a bad size and a malformed query under AnalyticsInvalidQuery; "
        "the official client sends them, drops them or fails inside (docs/contract.md B1, B3-B5).",
        of_query(refusals.refused_values),
    ),
    Deviation(
        "misplaced columns",
        "A scope column in a data filter is not a ColumnType, a data column not a ColumnName; the "
        "official client sends the first and reports the second as ValueError (docs/contract.md B3).",
        of_query(refusals.misplaced_columns),
    ),
    Deviation(
        "words for members",
        "Words are accepted wherever an enum is; the official client raises AttributeError or "
        "ignores them (docs/contract.md B2-B4).",
        spellings.named_enums,
    ),
    Deviation(
        "status words",
        "A status is sent in the page's spelling, in lower case; the official client sends "
        "`SUCCESS` as it came, which may match nothing (reference page, EventStatus).",
        spellings.status_words,
    ),
    Deviation(
        "column labels",
        "A column's label names its field; the official client sends `OBJECT_ID`, which is not a "
        "column type (docs/contract.md A4, A7).",
        of_query(spellings.column_labels),
    ),
    Deviation(
        "numeric ids",
        "An id is text on the wire; the official client sends the number (docs/contract.md B2).",
        of_query(spellings.text_ids),
    ),
    Deviation(
        "repeats",
        "A kind, an operation or an alternative named twice is sent once; the official client "
        "repeats it (docs/contract.md B2, B4).",
        of_query(spellings.repeats),
    ),
    Deviation(
        "waiting arguments",
        "export_and_wait has timeout and poll_interval on the page; the official client has no "
        "such arguments (docs/contract.md C).",
        of_query(spellings.waiting),
    ),
    Deviation(
        "ragged table pages",
        "Tables page by number, so rows over a page's edge come from one larger page, cut here; "
        "the official client gets the rows of another offset (docs/contract.md A3, D6).",
        of_query(spellings.ragged_page),
    ),
    Deviation(
        "quoted ids",
        "An id is one path segment; the official client lets `/`, `?` and `#` end it "
        "(docs/contract.md D12).",
        spellings.quoted_ids,
    ),
    Deviation(
        "named filters AND",
        "The page joins positional arguments by logical_op; the official client joins the named "
        "ones with them (docs/contract.md B3).",
        of_query(alternatives.named_apart),
    ),
    Deviation(
        "needless OR",
        "One alternative is that filter, equalities on one data column are one INCLUDES, exact "
        "everywhere; the official client ANDs them outside search (docs/contract.md G2a).",
        of_query(alternatives.needless_or),
    ),
    Deviation(
        "mean across years",
        "The page refuses it before dispatch; the official client after the reply (docs/contract.md C).",
        of_query(refusals.years),
    ),
    Deviation(
        "empty window",
        "Time bounds with no instant between them are a mistake, never an empty answer; the "
        "official client sends them (docs/contract.md B4).",
        of_query(refusals.empty_window),
    ),
    Deviation(
        "whole type",
        "object_type= alone scopes to all objects of the type, by its kinds; the official client "
        "never sends it and answers for the whole organisation (docs/contract.md C, D6).",
        of_query(scopes.whole_type),
    ),
    Deviation(
        "OR on several columns",
        "Sent as operator OR when it is alone on search, counted by inclusion and exclusion, "
        "refused elsewhere; the official client ANDs it, or ORs every filter (docs/contract.md G2b-d).",
        of_query(alternatives.other_or),
    ),
    Deviation(
        "several time bounds",
        "An aggregation has one start_time and one end_time: bounds combine into the narrowest "
        "window; the official client calls the second one a data column (docs/contract.md B4).",
        of_query(alternatives.several_bounds),
    ),
    Deviation(
        "scope filters",
        "Every scope filter in where() fails in the official client since 0.1.12; the encoding of "
        "0.1.11 is sent (docs/contract.md A3, C).",
        of_query(scopes.scope_filters),
    ),
)


def expected(chain: Chain) -> tuple[list[str], Outcome]:
    """What our package must do with a chain, and the names of the deviations that decided it."""
    names: list[str] = []
    sent = [Sent(chain)]
    for deviation in DEVIATIONS:
        following: list[Sent] = []
        for each in sent:
            outcome = deviation.rewrite(each.chain)
            if outcome is None:
                following.append(each)
                continue
            names.append(deviation.name)
            if isinstance(outcome, Raises):
                return names, outcome
            following += [Sent(new.chain, each.edits + new.edits) for new in outcome]
        sent = following
    return list(dict.fromkeys(names)), sent
