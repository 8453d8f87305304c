"""Facts about roles."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at


class Membership(TypedDict):
    """One membership; `inherit` is None before PostgreSQL 16, where the role itself decides."""

    role: str
    grantor: str | None
    admin: bool
    inherit: bool | None


class Attributes(TypedDict):
    """What pg_roles knows; `valid_until` in seconds since 1970 UTC, None for no end."""

    superuser: bool
    inherit: bool
    createrole: bool
    createdb: bool
    login: bool
    replication: bool
    bypassrls: bool
    connection_limit: int
    valid_until: int | None


class RoleFields(TypedDict):
    """One role; `role` is None where it does not exist, `password` where none was asked about."""

    version: int
    role: Attributes | None
    settings: list[str]
    member_of: list[Membership]
    password: Literal["match", "differs", "absent"] | None


class Role(at.CatalogFact[RoleFields | None]):
    """
    Read a role's attributes, settings and memberships, and whether its password is the one in a file.

    + role: name of the role
    + password_file: path on the host to compare the password with; default none, no comparison
    + cluster: "VERSION/NAME", default the host's only one

    Neither the password nor its verifier is part of the output: only match, differs or absent.
    """

    @override
    def command(
        self, role: str, password_file: str | None = None, cluster: str | None = None
    ) -> StringCommand:
        if password_file is None:
            return at.asked("postgres-role.sql", cluster=cluster, role=role)
        return at.asked(
            "postgres-role.sql", cluster=cluster, role=role,
            program=["postgres-password.py", "check", role, password_file],
            given="postgres-verifiers.sql", roles=json.dumps([role]),
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> RoleFields | None:
        if not output:
            return None
        found: RoleFields = json.loads(output[0])
        word = output[1] if len(output) > 1 else None
        found["password"] = word if word in ("match", "differs", "absent") else None  # type: ignore[typeddict-item]  # one of its words
        return found
