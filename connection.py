"""Make each command's answer come at once: TCP_NODELAY on the SSH connections of a run."""

from __future__ import annotations

import socket
from typing import Any

from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State


class WithoutDelay(BaseStateCallback):
    """
    Set TCP_NODELAY as soon as a host is connected; other connectors than SSH are left alone.

    paramiko leaves Nagle's algorithm on, and each command then waits 40 ms for a delayed acknowledgement:
    one takes 59 ms with it and 9 ms without, on a host without latency.
    """

    def host_connect(self, state: State, host: Host) -> None:  # type: ignore[override]  # noqa: ARG002  # declared static there
        """Called by pyinfra once a host is connected."""
        client: Any = getattr(host.connector, "client", None)
        transport = client.get_transport() if client is not None else None
        if transport is not None and isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
