"""Starting and stopping an emulator: a uvicorn server in a thread, on a port of its own.

Cheap to import: duckdb, starlette and uvicorn load when an emulator starts.
"""

import contextlib
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vectorshift_emulator._settings import PUBLIC_KEY, Settings
from vectorshift_emulator.control.remote import Emulator

if TYPE_CHECKING:
    from vectorshift_emulator._service import Service
    from vectorshift_emulator.data.store import Store

_BACKLOG = 2048
_GRACE = 1
"""Seconds that requests in flight have when the emulator stops."""


@contextlib.contextmanager
def serve(
    *,
    events: int = 10_000,
    days: int = 30,
    seed: int = 7,
    end: datetime | None = None,
    api_key: str = PUBLIC_KEY,
    host: str = "127.0.0.1",
    port: int = 0,
    database: Path | str | None = None,
    **switches: Any,
) -> Iterator[Emulator]:
    """Run an emulator while the block lasts.

    Args:
        events: rows to generate, 0 to 10 million.
        days: length of the time they spread over, 1 to 400 days before `end`.
        seed: chooses the rows; the same arguments give the same rows.
        end: aware end of that time; None is the last midnight UTC.
        api_key: the key that clients must send.
        host: IPv4 address or name to listen on.
        port: port to listen on; 0 takes a free one.
        database: file that keeps the events; one that has events is not filled again.
        switches: how the service behaves: `profile`, and switches by the names in
            docs/emulator-switches.md; `Control.settings` changes them later.

    Yields:
        The running emulator, with `base_url`, `api_key` and its control surface.

    Raises:
        ModuleNotFoundError: a package is missing that the extra `emulator` brings.
        OSError: the address is taken, or the database cannot be read.
        ValueError: an argument or a switch is unknown or out of range.
    """
    try:
        from vectorshift_emulator._service import Service
        from vectorshift_emulator.data.store import Store
        from vectorshift_emulator.exports.tasks import Exports
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the emulator needs {error.name}: pip install 'vectorshift-orchestration[emulator]'",
            name=error.name,
        ) from error

    settings = Settings()
    settings.change(switches)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=_BACKLOG))
        origin = _origin(host, listener.getsockname()[1])
        store = Store(None if database is None else Path(database))
        stack.callback(store.close)
        _fill(store, settings, events=events, days=days, seed=seed, end=end)
        files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emulator-")))
        exports = Exports(
            store,
            files,
            settings,
            secret=secrets.token_bytes(32),
            public_url=lambda: origin,
        )
        stack.callback(exports.close)
        token = f"ct_{secrets.token_hex(16)}"
        service = Service(store, exports, files, api_key, token, settings)
        stack.enter_context(_listening(service, listener))
        yield Emulator(
            control_url=f"{origin}/_control",
            control_token=service.control_token,
            base_url=f"{origin}/v1",
            api_key=api_key,
        )


def _origin(host: str, port: int) -> str:
    """The address that clients use; one that means every interface is none."""
    return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{port}"


def _fill(
    store: "Store",
    settings: Settings,
    *,
    events: int,
    days: int,
    seed: int,
    end: datetime | None,
) -> None:
    """Fill an empty database."""
    from vectorshift_emulator.data import seed as generator

    if store.count():
        return
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    generator.fill(store.cursor(), events=events, days=days, seed=seed, end=end or midnight)
    generator.refine(store.cursor(), settings.clock)


@contextlib.contextmanager
def _listening(service: "Service", listener: socket.socket) -> Iterator[None]:
    """Serve in a thread while the block lasts."""
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    from vectorshift_emulator._app import application

    class Server(uvicorn.Server):
        ready = threading.Event()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.ready.set()

    config = uvicorn.Config(
        application(service),
        http=service.connections.recording(AutoHTTPProtocol),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = Server(config)

    def run() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            server.ready.set()

    thread = threading.Thread(target=run, name="vectorshift-emulator", daemon=True)
    thread.start()
    server.ready.wait()
    if not server.started:
        raise RuntimeError("the emulator's server did not start; the log says why")
    try:
        yield
    finally:
        service.connections.hang_up()
        server.should_exit = True
        thread.join()
