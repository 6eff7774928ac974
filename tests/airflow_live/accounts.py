"""What a test does to an account of the service."""

from __future__ import annotations

from vectorshift import Client
from vectorshift_emulator import Emulator


def hold(account: Emulator) -> None:
    """Keep every export pending, until `release`."""
    account.fault("export_poll", "never_ready", times=0)


def release(account: Emulator) -> None:
    """Let the exports get ready."""
    account.clear_faults()


def submit(account: Emulator, name: str = "everything.csv") -> str:
    """Ask for an export of everything; its id."""
    with Client(api_key=account.api_key, base_url=account.base_url) as client:
        return client.query().export("CSV", name)["task_id"]


def measured(account: Emulator) -> int:
    """How often the account's error counts were requested."""
    result: int = account.counters()["requests"].get("aggregations", 0)
    return result
