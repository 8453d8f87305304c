"""Facts about one app's database and its roles, all in one round trip."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at
from facts.postgres.databases import DatabaseDetails, SchemaFields
from facts.postgres.roles import RoleFields


class RoleDifference(TypedDict):
    """One object, or what the owner makes later in one schema (None: in all), and what differs for a role."""

    target: Literal["object", "default"]
    kind: str
    object: str
    schema: str | None
    role: str
    missing: list[str]
    extra: list[str]
    grantable: list[str]


class Owned(TypedDict):
    """One object of the app's role, as PostgreSQL names it, and the sequences that go with it."""

    type: str
    identity: str
    sequences: list[str]


class AppFields(TypedDict):
    """
    The owner, the app's role and its reader; the state of each password that was asked for, in that order;
    the database, None where it does not exist; what differs in it, what the app's role owns, its extensions.
    """

    version: int
    roles: list[RoleFields]
    passwords: list[str]
    database: DatabaseDetails | None
    schema: SchemaFields | None
    differences: list[RoleDifference]
    owned: list[Owned]
    extensions: list[str]


class App(at.CatalogFact[AppFields | None]):
    """
    Read an app's database, its owner, its role and its reader, and compare what they may do in it.

    + database: name of the database
    + owner, app, reader: names of the roles
    + passwords: role to path on the host of the file that its password is compared with
    + wanted: for each role, or "PUBLIC", the privileges for each kind: database, schema, tables, sequences,
      functions; compared in all schemas but the system's and extensions', and for what the owner makes later
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(
        self,
        database: str,
        owner: str,
        app: str,
        reader: str,
        passwords: dict[str, str],
        wanted: dict[str, dict[str, list[str]]],
        cluster: str | None = None,
    ) -> StringCommand:
        pairs = [word for pair in passwords.items() for word in pair]
        return at.asked(
            r"\set role :owner", "postgres-role.sql", r"\set role :app", "postgres-role.sql",
            r"\set role :reader", "postgres-role.sql", "postgres-database.sql",
            cluster=cluster, database=database, inside=["postgres-schema.sql", "postgres-app.sql"],
            program=["postgres-password.py", "check", *pairs] if pairs else [],
            given="postgres-verifiers.sql" if pairs else None,
            owner=owner, app=app, reader=reader, wanted=json.dumps(wanted), roles=json.dumps([*passwords]),
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> AppFields | None:
        lines = [json.loads(line) for line in output if line.startswith(("{", "null"))]
        words = [line for line in output if line in ("match", "differs", "absent")]
        if not lines:
            return None
        *roles, database = lines[:4]
        inside = lines[5] if len(lines) > 5 else {"differences": [], "owned": [], "extensions": []}
        return AppFields(
            version=database["version"],
            roles=roles,
            passwords=words,
            database=database["database"],
            schema=lines[4] if len(lines) > 4 else None,
            differences=inside["differences"],
            owned=inside["owned"],
            extensions=inside["extensions"],
        )
