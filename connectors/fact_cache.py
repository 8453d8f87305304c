"""A cache of facts: what a host has answered since it last changed, and what is worth prefetching."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from connectors.channel import Reply

# Of hosts and kinds of runs that are no more.
KEPT_SECONDS = 90 * 24 * 3600
# What was asked along is served for no longer: others may change a host, too.
FRESH_SECONDS = 60.0


def file_of(*about: str) -> Path:
    """
    Return the file of one kind of run on one host, in HOSTWRIGHT_CACHE or ~/.cache/hostwright.

    + about: what tells it from others
    """
    given = os.environ.get("HOSTWRIGHT_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostwright"
    digest = hashlib.sha256("\0".join(about).encode()).hexdigest()[:32]
    return (Path(given) if given else base) / "prefetch" / digest


class _Answer(NamedTuple):
    reply: Reply
    asked: float
    served: set[str | None]


class FactCache:
    """
    The answers of one host in one run; what is not in it is asked.

    The rules, which make it correct:

    - Only commands of facts are remembered, each under its whole text; any other command is taken for a
      change, and a change makes all answers be forgotten, before it is sent. Taking the lock of a run is
      none: it changes nothing that a fact reads. But what was asked for when another run may still have
      held it is forgotten then.
    - An answer is served once to each operation, and within a minute: who asks again wants to know anew.
    - A command that failed is asked again by itself.
    - Everything is asked at the beginning of a run's first connection. A later one, after a reboot or not,
      begins with nothing, and asks nothing along.

    What was asked the last time is kept in a file of this machine's, to be asked in one go the next time. It
    has commands, in which there are no secrets, and no answers.

    + file: where that is, None for nowhere
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._past = _read(file)
        self._asked: dict[str, None] = {}
        self._answers: dict[str, _Answer] = {}

    def to_prefetch(self) -> list[str]:
        """Return what the last run asked: what this one is going to ask."""
        return list(self._past)

    def invalidate(self) -> bool:
        """Forget all answers; return whether there were any."""
        had = bool(self._answers)
        self._answers.clear()
        return had

    def expire(self, seconds: float) -> None:
        """Forget what was asked for longer ago than that: others may have changed the host since."""
        since = time.monotonic() - seconds
        self._answers = {key: one for key, one in self._answers.items() if one.asked > since}

    def put(self, command: str, reply: Reply, asked: float) -> None:
        """Keep what is being asked for; `asked` is when, by the monotonic clock, and not later than that."""
        self._answers[command] = _Answer(reply, asked, set())

    def get(self, command: str, asker: str | None) -> Reply | None:
        """
        Note what is asked; return the answer that is here, or on its way, None where it may not be served.

        + asker: operation that asks, None outside of operations
        """
        self._asked[command] = None
        answer = self._answers.get(command)
        if answer is None or asker in answer.served or time.monotonic() - answer.asked > FRESH_SECONDS:
            self._answers.pop(command, None)
            return None
        answer.served.add(asker)
        return answer.reply

    def save(self) -> None:
        """Write down what was asked, for the next run; a run without it is slower and no worse."""
        asked = list(self._asked)
        if self._file is None or asked == self._past:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            aside.write_bytes(zlib.compress(json.dumps(asked).encode()))
            aside.chmod(0o600)
            aside.replace(self._file)
            for other in self._file.parent.iterdir():
                if time.time() - other.stat().st_mtime > KEPT_SECONDS:
                    other.unlink()


def _read(file: Path | None) -> list[str]:
    try:
        found: Any = json.loads(zlib.decompress(file.read_bytes())) if file is not None else []
    except (OSError, ValueError, zlib.error):
        return []
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else []
