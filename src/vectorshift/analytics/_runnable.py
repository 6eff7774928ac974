"""A query as a value that can run: a spec with the account that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import Struct

from vectorshift.analytics import _spec as specs
from vectorshift.errors import ConfigurationError

if TYPE_CHECKING:
    from vectorshift._account import Account
    from vectorshift._calls import Flow

T = TypeVar("T")


class _Detached:
    """Stands for the client of a query that was pickled: its key stayed behind."""


class Runnable(Struct, frozen=True):
    """A spec with the client that runs it (None: the default client)."""

    _spec: specs.Spec
    _client: Any = None

    def __repr__(self) -> str:
        parts = [
            f"{name}={value!r}"
            for name, value in specs.to_dict(self._spec).items()
            if name != "version"
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """What is asked, a row for each part, for notebooks; the client, which has the key, is no part of it."""
        from vectorshift.analytics._tabular import html_table

        parts = {name: each for name, each in self.to_dict().items() if name != "version"}
        return html_table([type(self).__name__, ""], list(parts.items()))

    def _bound(self) -> Account:
        if self._client is None:
            from vectorshift._account import default_account

            return default_account()
        if self._client is _Detached:
            raise ConfigurationError(
                "this query was pickled without its client, because keys never are: give it one with query.using(client)."
            )
        account: Account = self._client
        return account

    def _run(self, flow: Flow[T]) -> T:
        return self._bound()._run(flow)

    async def _arun(self, flow: Flow[T]) -> T:
        return await self._bound()._arun(flow)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._spec, None if self._client is None else _Detached)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # immutable, and its client stays with it

    def to_dict(self) -> dict[str, Any]:
        """The query as JSON values, without its client; `Query.from_dict` reads it back to an equal query."""
        return specs.to_dict(self._spec)
