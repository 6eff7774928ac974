"""Up to where a watcher has judged: with its asset where Airflow keeps such state (3.3), else in memory."""

import logging
from datetime import datetime
from typing import Any

_log = logging.getLogger(__name__)


class Watermark:
    """The end of the last window that a watcher has judged.

    Args:
        store: the `asset_state_store` that Airflow 3.3 gives an event trigger, or None.
        key: the name of this watcher among those of the same asset.

    The store belongs to one asset. A trigger that several assets share has none, and its watermark
    lasts as long as its process.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key
        self._until: datetime | None = None

    async def read(self) -> datetime | None:
        """The watermark, or None when there is none yet. Raises what the store raises."""
        if self._until is None and self._store is not None:
            try:
                stored = await self._store.aget(self._key)
            except ValueError:
                _log.warning(
                    "Several assets have this watcher, so it remembers what it judged only while "
                    "it runs. Give each asset a watcher with arguments of its own."
                )
                self._store = None
            else:
                self._until = None if stored is None else datetime.fromisoformat(stored)
        return self._until

    async def write(self, until: datetime) -> None:
        """Move the watermark. Raises what the store raises; it has moved in memory then."""
        self._until = until
        if self._store is not None:
            await self._store.aset(self._key, until.isoformat())
