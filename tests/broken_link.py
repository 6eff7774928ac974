"""A TCP link to a server that breaks at a chosen moment."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self


class Link:
    """Forwards connections from a free loopback port, until a client sends a chosen text."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._trigger: bytes | None = None
        self._forward = self._wait = True

    def at(self, text: bytes, *, forward: bool, wait_for_reply: bool = True) -> None:
        """Cut when a client sends `text`: after the server got it and answered, or before."""
        self._trigger, self._forward, self._wait = text, forward, wait_for_reply

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is client and self._trigger and self._trigger in data:
                        self._trigger = None
                        if self._forward:
                            server.sendall(data)
                            if self._wait:
                                server.recv(1 << 16)
                        self.cuts += 1
                        return
                    (server if source is client else client).sendall(data)
