"""One run of a verb: its lock on each host, its trial, and what it tells the ledger."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from pyinfra.api.host import Host

from operations.trial.touched import Touched

# Beyond the longest step: how long a host waits for a sign of life before it undoes by itself. "Commit
# confirmed" of network gear defaults to ten minutes; this is counted anew at each sign of life.
DEFAULT_SECONDS = 300
TAG = "HOSTWRIGHT_RUN"


@dataclass(frozen=True)
class About:
    """
    Who runs what, for the lock and the ledger.

    + id: sorts by time, and is in the environment of every command of the run
    + owner: user and machine
    + purpose: the verb and the inventory
    + commit: of the playbook, None where it has none
    """

    id: str
    owner: str
    purpose: str
    commit: str | None = None
    began: float = field(default_factory=time.time)


def make_id() -> str:
    """Return a new id: the time, and what tells two of the same second apart."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def owner() -> str:
    """Return who runs this, as user@machine; HOSTWRIGHT_OWNER says otherwise, for CI."""
    given = os.environ.get("HOSTWRIGHT_OWNER")
    if given:
        return given
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass
class HostRun:
    """
    How one host stands in this run.

    + about: who runs what
    + touched: what the run may change there
    + seconds: until the host undoes by itself
    + releases: app to what it is to be, "release", "digest", "commit", "schema"
    + exempt: operations that come before the trial
    + left: app to the release that a rollback leaves
    + proof: what allows this run, for the ledger: "receipt", or "without_receipt" with the reason
    + watch: looks at the host, "before" the first change and once it is "confirmed", default nobody
    """

    host: Host
    about: About
    touched: Touched
    seconds: int
    releases: dict[str, dict[str, Any]]
    exempt: frozenset[str]
    wait: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] | None = None
    locked: bool = False
    armed: bool = False
    confirmed: bool = False
    failed: str = ""
    left: dict[str, str] = field(default_factory=dict)
    proof: dict[str, str] = field(default_factory=dict)
    changed: int = 0
    contact: float = 0.0
    beating: Any = None
    watch: Callable[[HostRun, str], None] | None = None

    def overdue(self) -> bool:
        """Return whether the host may have given this run up; its clock began after ours did."""
        return self.locked and time.monotonic() - self.contact > self.seconds

    def line(self, outcome: str, **more: Any) -> str:
        """Return this run's line of the ledger."""
        return json.dumps({**self.record(), "ended": time.time(), "outcome": outcome, **more})

    def record(self) -> dict[str, Any]:
        """Return what the ledger says of a run however it ends."""
        left = {"left": self.left} if self.left else {}
        return {**asdict(self.about), "releases": self.releases, **self.proof, **left}
