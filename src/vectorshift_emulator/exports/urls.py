"""Signed download URLs that expire."""

from __future__ import annotations

import hmac
from datetime import datetime
from enum import Enum
from urllib.parse import quote, urlencode


class Verdict(Enum):
    """What a signature says about a URL."""

    VALID = "valid"
    EXPIRED = "expired"
    TAMPERED = "tampered"


class UrlSigner:
    """Signs and checks download URLs.

    The signature is an HMAC-SHA256 over task id, file name, expiry and a generation number;
    ``expire_all`` starts the next generation, which ends every URL handed out before.

    Args:
        secret: Key of the HMAC.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._generation = 0

    def url(self, origin: str, task_id: str, file_name: str, expires: datetime) -> str:
        """Return the URL of a task's file under ``origin``, valid until ``expires`` (aware)."""
        until = int(expires.timestamp() * 1000)
        signature = self._signature(self._generation, task_id, file_name, until)
        query = urlencode({"expires": until, "signature": signature})
        return f"{origin}/downloads/{quote(task_id, safe='')}/{quote(file_name, safe='')}?{query}"

    def verdict(
        self, task_id: str, file_name: str, expires: str, signature: str, now: datetime
    ) -> Verdict:
        """Return whether a URL with these parts is good at the aware moment ``now``."""
        if not (expires.isascii() and expires.isdigit()) or not signature.isascii():
            return Verdict.TAMPERED
        until = int(expires)
        for generation in range(self._generation, -1, -1):
            expected = self._signature(generation, task_id, file_name, until)
            if hmac.compare_digest(expected, signature):
                current = generation == self._generation and now.timestamp() * 1000 < until
                return Verdict.VALID if current else Verdict.EXPIRED
        return Verdict.TAMPERED

    def expire_all(self) -> None:
        """End every URL handed out so far."""
        self._generation += 1

    def _signature(self, generation: int, task_id: str, file_name: str, until: int) -> str:
        signed = "\n".join((str(generation), task_id, file_name, str(until)))
        return hmac.new(self._secret, signed.encode(), "sha256").hexdigest()
