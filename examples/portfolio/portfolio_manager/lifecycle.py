"""Turn SIGTERM and SIGINT into a clean end."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def install() -> threading.Event:
    """Install the handlers and return the event that says: finish what was begun, take nothing new, end."""
    stop = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)
    return stop
