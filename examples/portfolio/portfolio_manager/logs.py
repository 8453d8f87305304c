"""One line per event on stdout: ISO timestamp, level, message."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

NAME = "portfolio_manager"


class LineFormatter(logging.Formatter):
    """Format a record as exactly one line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=timezone.utc)
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        text = " | ".join(part.strip() for part in message.splitlines() if part.strip())
        return f"{stamp} {record.levelname} {text}"


def configure() -> logging.Logger:
    """Send every log record of this process to stdout and return the program's logger."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # The pool says at each attempt that the database is away; the service says it once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    log = logging.getLogger(NAME)
    log.setLevel(logging.INFO)
    return log
