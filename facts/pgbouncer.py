"""What `operations/pgbouncer.py` reads: how an app's connection pool stands."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at


class PoolFields(TypedDict):
    """
    One pool.

    `version` is the program's, None without it; `ini` and `unit` are SHA-256 of the files, None without them;
    `users` whether it has the role's verifier as the server does; `due` what its files ask for.
    """

    version: str | None
    ini: str | None
    unit: str | None
    users: bool
    enabled: bool
    due: Literal["nothing", "reload", "restart"]


class Pool(at.CatalogFact[PoolFields | None]):
    """
    Read how an app's pool stands; None where no server runs.

    + unit: its systemd unit
    + ini, users: its files
    + role: whose verifier it should have
    + cluster: "VERSION/NAME", default the host's only one

    Neither password nor verifier is part of the output.
    """

    @override
    def command(
        self, unit: str, ini: str, users: str, role: str, cluster: str | None = None
    ) -> StringCommand:
        return at.asked(
            cluster=cluster, program=["pgbouncer-control.py", "state", unit, ini, users, role],
            given="postgres-verifiers.sql", roles=json.dumps([role]),
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> PoolFields | None:
        found: PoolFields | None = at.read(output)
        return found
