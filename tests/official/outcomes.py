"""What a chain must do: requests of the official client, changed where it errs, or an error."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.official.reading import Reading, read
from tests.official.recorder import Request
from tests.official.vocabulary import Chain

Edit = Callable[[Request], Request]


@dataclass(frozen=True)
class Sent:
    """The official client's request for a chain, changed by every edit in turn."""

    chain: Chain
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Raises:
    """An error of this class, and no request."""

    name: str


Outcome = list[Sent] | Raises
INVALID = Raises("AnalyticsInvalidQuery")
WRONG_TYPE = Raises("TypeError")


def of_query(rewrite: Callable[[Reading], Outcome | None]) -> Callable[[Chain], Outcome | None]:
    """A rewrite of queries as one of chains; lookups pass by."""

    def of_chain(chain: Chain) -> Outcome | None:
        query = read(chain)
        return rewrite(query) if query else None

    return of_chain
