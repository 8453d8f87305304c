"""What `operations/pgbackrest.py` reads: how a host differs from what is declared of its recovery."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.postgres import cluster as at

PROGRAM = "pgbackrest-host.py"


class Differences(FactBase[list[str] | None]):
    """
    Read what differs from what is declared, in words; None where there is no cluster that is up.

    + what: "configured", "archiving" or "absent"
    + declared: JSON that the program on the host reads
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, what: str, declared: str, cluster: str | None = None) -> StringCommand:
        return at.program(PROGRAM, what, "ask", declared, need=at.ASK_UP, cluster=cluster)

    @override
    def process(self, output: list[str]) -> list[str] | None:
        found: dict[str, Any] | None = at.read(output)
        return None if found is None else list(found["differs"])
