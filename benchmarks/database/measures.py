"""
What is measured: a bare command against ours, both on the lab host, one after the other in turn.

Another pair (a restore against bare pg_restore) is one more `Measure` in MEASURES: `before` brings the host
to where both begin, and is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

DATABASE = "bench"
ROOT = f"/var/backups/{DATABASE}"
AS_POSTGRES = "cd / && runuser -u postgres --"


@dataclass(frozen=True)
class Measure:
    """
    One comparison.

    + label: what it is
    + bare, ours: shell commands on the host, as root, that must exit 0
    + before: shell command before each of both, not measured
    + limit: what the medians' ratio may be at most
    """

    label: str
    bare: str
    ours: str
    before: str
    limit: float = 1.3


MEASURES = [
    Measure(
        label="backup",
        bare=f"{AS_POSTGRES} pg_dump -Fd -j2 -Z1 -f /var/lib/postgresql/bare -d {DATABASE}",
        ours=f"systemctl start hostwright-backup-{DATABASE}.service",
        before=f"rm -rf /var/lib/postgresql/bare {ROOT}; sleep 1",
    ),
]
