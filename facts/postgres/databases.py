"""Facts about databases and what is in them."""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at


class SchemaFields(TypedDict):
    """Schema public: its owner, and what everybody may do in it."""

    owner: str
    public: list[str]


class DatabaseDetails(TypedDict):
    """One database; `public` is what everybody may do in it."""

    owner: str
    encoding: str
    collate: str
    ctype: str
    locale: str
    connection_limit: int
    settings: list[str]
    public: list[str]


class DatabaseFields(TypedDict):
    """A database, None where it does not exist, and its schema public, None where it has none."""

    version: int
    database: DatabaseDetails | None
    schema: SchemaFields | None


class Database(at.CatalogFact[DatabaseFields | None]):
    """
    Read a database's owner, encoding, locale, settings, and everybody's privileges.

    + database: name of the database
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, database: str, cluster: str | None = None) -> StringCommand:
        return at.asked(
            "postgres-database.sql", cluster=cluster, database=database, inside=["postgres-schema.sql"]
        )

    @override
    def process(self, output: list[str]) -> DatabaseFields | None:
        if not output:
            return None
        found: DatabaseFields = json.loads(output[0])
        found["schema"] = json.loads(output[1]) if len(output) > 1 else None
        return found


class OwnerFields(TypedDict):
    """Who owns a schema; None where it does not exist."""

    owner: str | None


class Schema(at.CatalogFact[OwnerFields | None]):
    """
    Read who owns a schema; None where there is no such database.

    + schema: name of the schema
    + database: database that it is in
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, schema: str, database: str, cluster: str | None = None) -> StringCommand:
        return at.asked(cluster=cluster, database=database, inside=["postgres-namespace.sql"], schema=schema)

    @override
    def process(self, output: list[str]) -> OwnerFields | None:
        found: OwnerFields | None = at.read(output)
        return found


class Difference(TypedDict):
    """One object, or one creator's default, whose privileges differ from what is wanted."""

    target: Literal["object", "default"]
    kind: str
    object: str
    missing: list[str]
    extra: list[str]
    grantable: list[str]


class PrivilegesFields(TypedDict):
    """Whether the schema is there, and only what differs in it."""

    version: int
    schema: bool
    differences: list[Difference]


class Privileges(at.CatalogFact[PrivilegesFields | None]):
    """
    Compare what a role may do in one schema with what it should; None where there is no such database.

    + role: name of the role, or "PUBLIC" for everybody
    + database: database that the schema is in
    + schema: name of the schema
    + wanted: privileges for each kind: database, schema, tables, sequences, functions
    + creators: roles whose default privileges are compared too
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(
        self,
        role: str,
        database: str,
        schema: str,
        wanted: dict[str, list[str]],
        creators: list[str],
        cluster: str | None = None,
    ) -> StringCommand:
        return at.asked(
            cluster=cluster, database=database, inside=["postgres-privileges.sql"],
            role=role, schema=schema, wanted=json.dumps(wanted), creators=json.dumps(creators),
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> PrivilegesFields | None:
        found: PrivilegesFields | None = at.read(output)
        return found


class Installed(TypedDict):
    """An installed extension."""

    version: str
    schema: str
    relocatable: bool


class ExtensionFields(TypedDict):
    """An extension in one database, and the versions that the host's packages offer."""

    version: int
    installed: Installed | None
    versions: list[str]


class Extension(at.CatalogFact[ExtensionFields | None]):
    """
    Read which version of an extension a database has, and could have; None where there is no database.

    + extension: name of the extension
    + database: database to look in
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, extension: str, database: str, cluster: str | None = None) -> StringCommand:
        return at.asked(
            cluster=cluster, database=database, inside=["postgres-extension.sql"], extension=extension
        )

    @override
    def process(self, output: list[str]) -> ExtensionFields | None:
        found: ExtensionFields | None = at.read(output)
        return found
