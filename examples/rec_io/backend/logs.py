"""One line per event on stdout: ISO timestamp, level, service, message."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone


class LineFormatter(logging.Formatter):
    """Format a record as exactly one line, tracebacks included."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=timezone.utc)
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        text = " | ".join(part.strip() for part in message.splitlines() if part.strip())
        return f"{stamp} {record.levelname} {self.service} {text}"


def configure(service: str) -> logging.Logger:
    """Send every log record of this process to stdout and return the service's logger."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log = logging.getLogger(service)
    log.setLevel(logging.INFO)
    return log
