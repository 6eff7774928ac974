"""A local emulator of the VectorShift Analytics API: a real HTTP server over DuckDB.

    from vectorshift_emulator import serve

    with serve(events=1_000) as emulator:
        ...  # emulator.base_url, emulator.api_key

docs/emulator-service.md says what it does, and where it departs from or guesses about the hosted service.
"""

from vectorshift_emulator.control.remote import Control, ControlError, Emulator
from vectorshift_emulator.server import serve

__all__ = ["Control", "ControlError", "Emulator", "serve"]
