"""A TCP proxy that makes a host seem far away, and counts how often the talk turns around."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from queue import Queue

PIECE = 65536


class Proxy:
    """
    Passes connections on, each piece half a round trip late, in order and without a limit of bandwidth.

    It has no congestion window: what a first burst costs on a real line beyond one round trip is not in it.

    + address, port: where to
    + round_trip: seconds that the line adds, default none
    """

    def __init__(self, address: str, port: int = 22, round_trip: float = 0.0) -> None:
        self._to = (address, port)
        self._delay = round_trip / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._turns = 0
        self._last = "down"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[int]]:
        """Count how often the client spoke after the host had: the list has that number after the block."""
        found: list[int] = []
        before = self._turns
        yield found
        found.append(self._turns - before)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass(client, server, "up")
                self._pass(server, client, "down")

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        late: Queue[tuple[float, bytes]] = Queue()

        def read() -> None:
            data = b"x"
            while data:
                try:
                    data = source.recv(PIECE)
                except OSError:
                    data = b""
                if data and way != self._last:
                    self._last = way
                    self._turns += way == "up"
                late.put((time.monotonic() + self._delay, data))

        def write() -> None:
            with contextlib.suppress(OSError):  # the other end has gone
                while True:
                    due, data = late.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()
