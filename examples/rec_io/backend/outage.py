"""Report something that is away without filling the log."""

from __future__ import annotations

import logging
import time

REPEAT_SECONDS = 30.0


class Outage:
    """Say once that something is away, again every half minute, and once that it is back."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since: float | None = None
        self._told = 0.0

    def failed(self, reason: str, level: int = logging.WARNING) -> None:
        """Take note of one failed attempt."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._told < REPEAT_SECONDS:
            return
        self._told = now
        self._log.log(level, "waiting: %s", reason)

    def over(self) -> None:
        """Take note of one attempt that worked."""
        if self._since is not None:
            self._log.info("working again after %.1f s", time.monotonic() - self._since)
            self._since = None
