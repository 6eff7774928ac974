"""A query bound to an account's client, whatever its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectorshift import Client
    from vectorshift.analytics import Query


def scoped(client: Client, query: Query | Mapping[str, Any] | None) -> Query:
    """The query of this client that asks the same; None is every event.

    `query` may be its JSON form, or of another client; an awaiting one becomes a blocking one.
    """
    from vectorshift.analytics import Query

    document = query.to_dict() if isinstance(query, Query) else query
    return Query.from_dict(document or {}, client)
