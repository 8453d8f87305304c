"""Turn SIGTERM and SIGINT into a clean end, with a limit to how long that may take."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

LEAVE_AFTER_SECONDS = 1.5


def _leave() -> None:
    # Whatever still blocks (a hung database, a slow disk) is safe to cut: rows are written in transactions
    # and files are renamed into place. Exit code 0, because this is what was asked for.
    os._exit(0)


def install() -> threading.Event:
    """Install the handlers and return the event that says: stop."""
    stop = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            limit = threading.Timer(LEAVE_AFTER_SECONDS, _leave)
            limit.daemon = True
            limit.start()

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)
    return stop
