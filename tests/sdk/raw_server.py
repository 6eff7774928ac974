"""A server that sends bytes of the test's own over connections that stay open, and counts what came over which."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answers = Callable[[int, int], bytes | None]
"""From the number of a connection and of the request on it, both from 0, to what is sent; None hangs up."""


class RawServer:
    """What a test sees: the `base_url`, and for each connection how many requests came over it."""

    def __init__(self) -> None:
        self.base_url = ""
        self.requests: list[int] = []


@contextmanager
def raw_server(answers: Answers | bytes) -> Iterator[RawServer]:
    """Serve while the block lasts; bytes are the answer to everything."""
    reported = RawServer()
    answer = answers if callable(answers) else lambda _, __: answers
    opened: list[socket.socket] = []

    def serve(connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as requests:
            while line := requests.readline():
                length = 0
                while line := line.strip().lower():
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                    line = requests.readline()
                requests.read(length)
                reported.requests[number] += 1
                sent = answer(number, reported.requests[number] - 1)
                if sent is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(sent)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                opened.append(connection)
                reported.requests.append(0)
                number = len(reported.requests) - 1
                threading.Thread(target=serve, args=(connection, number), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        reported.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield reported
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in opened:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
