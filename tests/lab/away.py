"""When a page answered, asked from outside all the time: how long it was away for."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.playbook import LabHost


@contextmanager
def polled(host: LabHost) -> Iterator[list[float]]:
    """Ask for the page all the time, and gather the moments at which it answered."""
    answered: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                with urllib.request.urlopen(f"http://{host.address}:3000/", timeout=1) as reply:
                    if reply.status == 200:
                        answered.append(time.monotonic())
            except (OSError, urllib.error.HTTPError):
                pass
            time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()
