"""The sockets behind the requests, for faults that HTTP itself cannot express."""

import asyncio
import socket
import struct
from typing import Any

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connections:
    """The open transports by client address, as the ASGI scope names it."""

    loop: asyncio.AbstractEventLoop
    """The loop of the server, set when it starts."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def recording(self, protocol: type[Any]) -> type[asyncio.Protocol]:
        """A subclass of an HTTP protocol that notes its transports here."""
        transports = self._transports

        class Recorded(protocol):  # type: ignore[misc]  # which protocol is known at run time
            def connection_made(self, transport: asyncio.Transport) -> None:
                self.noted = _client(transport)
                transports[self.noted] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.noted, None)
                super().connection_lost(exc)

        return Recorded

    def reset(self, scope: Any) -> None:
        """Close at once, so that the client gets a TCP reset."""
        if transport := self._of(scope):
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
            transport.abort()

    def close(self, scope: Any) -> None:
        """Close once everything has been sent."""
        if transport := self._of(scope):
            transport.close()

    def write(self, scope: Any, data: bytes) -> None:
        """Send bytes as they are."""
        if transport := self._of(scope):
            transport.write(data)

    def _of(self, scope: Any) -> asyncio.Transport | None:
        """The transport of the request with this ASGI scope; None when its client has given up."""
        host, port = scope["client"]
        return self._transports.get((host, port))

    def hang_up(self) -> None:
        """Close every connection, from another thread; a request that hangs ends so."""
        self.loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
        for transport in list(self._transports.values()):
            transport.abort()


def _client(transport: asyncio.Transport) -> tuple[str, int]:
    host, port, *_ = transport.get_extra_info("peername")
    return str(host), int(port)
