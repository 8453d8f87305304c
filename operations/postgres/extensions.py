"""Extensions in a database."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Extension
from facts.postgres import cluster as at
from facts.postgres.databases import ExtensionFields
from operations.postgres.differing import statements_lack
from operations.postgres.sqltext import check_cluster, check_name, identifier, literal, transaction

WHERE = "postgres.extension"

# Where Debian's package is not called postgresql-VERSION-EXTENSION; from its package index.
PACKAGES = {
    "vector": "postgresql-{}-pgvector",
    "postgis": "postgresql-{}-postgis-3",
    "postgis_raster": "postgresql-{}-postgis-3",
    "postgis_topology": "postgresql-{}-postgis-3",
    "pg_cron": "postgresql-{}-cron",
    "pg_partman": "postgresql-{}-partman",
    "pg_repack": "postgresql-{}-repack",
    "plperl": "postgresql-plperl-{}",
    "plpython3u": "postgresql-plpython3-{}",
    "pltcl": "postgresql-pltcl-{}",
}


def package(extension: str, version: int) -> str:
    """Name the Debian package that brings an extension which the server itself does not have."""
    usual = "postgresql-{}-" + extension.replace("_", "-").lower()
    return PACKAGES.get(extension, usual).format(version)


def refuse_missing(extension: str, now: ExtensionFields, version: str | None) -> None:
    """Raise OperationError where the host's packages do not bring the extension, or not this version."""
    installed = now["installed"]
    if not now["versions"] and installed is None:
        raise OperationError(
            f"{WHERE}: extension {extension!r} is not on the host; it is usually in the package"
            f" {package(extension, now['version'])}: install that first (apt-cache search knows more)"
        )
    if version is None or version in now["versions"]:
        return
    if installed is None or installed["version"] != version:
        offered = ", ".join(now["versions"]) or "none"
        raise OperationError(
            f"{WHERE}: version {version!r} of {extension} is not on the host, only: {offered};"
            " upgrade the package that brings it, or declare one of these"
        )


def change(extension: str, now: ExtensionFields, schema: str | None, version: str | None) -> list[str]:
    """Write the statements that bring an extension to its schema and version."""
    installed = now["installed"]
    if installed is None:
        return create(extension, schema, version)
    statements = []
    if version is not None and installed["version"] != version:
        statements.append(f"ALTER EXTENSION {identifier(extension)} UPDATE TO {literal(version)};")
    if schema is not None and installed["schema"] != schema:
        if not installed["relocatable"]:
            raise OperationError(
                f"{WHERE}: {extension} is in schema {installed['schema']} and cannot be moved to {schema};"
                f" drop it and create it again, or declare schema={installed['schema']!r}"
            )
        statements.append(f"ALTER EXTENSION {identifier(extension)} SET SCHEMA {identifier(schema)};")
    return statements


def create(extension: str, schema: str | None, version: str | None) -> list[str]:
    # Our sessions have an empty search path, and an extension without a schema goes to its first entry.
    first = [] if schema is not None else ["SET LOCAL search_path = public;"]
    where = "" if schema is None else f" SCHEMA {identifier(schema)}"
    which = "" if version is None else f" VERSION {literal(version)}"
    return [*first, f"CREATE EXTENSION {identifier(extension)}{where}{which};"]


def missing(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    """Write the statements that make the extensions that a database does not have."""
    return [line for one in wanted if one not in there for line in create(one, None, None)]


@operation()
def extension(
    extension: str,
    *,
    database: str,
    schema: str | None = None,
    version: str | None = None,
    cluster: str | None = None,
    present: bool = True,
) -> Generator[StringCommand, None, None]:
    """
    Create, update, move or drop an extension in a database.

    + extension: its name in SQL, such as "pg_stat_statements"
    + database: database it belongs to; it must exist
    + schema: schema for its objects; default public for a new one, and not compared
    + version: exact version; default the newest for a new one, and not compared
    + cluster: "VERSION/NAME", default the host's only one
    + present: False drops it, default True; PostgreSQL refuses while something depends on it

    Does not install packages, and does not load libraries (`postgres.settings`,
    shared_preload_libraries), which some extensions need first.

    Raises OperationError where the host does not have the extension, naming the package that brings it,
    or not this version, or where it cannot be moved to another schema.

    Example: `postgres.extension("pg_stat_statements", database="rec_io_db")`
    """
    check_cluster(WHERE, cluster)
    check_name(WHERE, "extension", extension)
    check_name(WHERE, "database", database)
    if schema is not None:
        check_name(WHERE, "schema", schema)
    now = host.get_fact(Extension, extension=extension, database=database, cluster=cluster)
    if not present:
        if now is not None and now["installed"] is None:
            host.noop(f"extension {extension} is already gone from {database}")
            return
        yield at.sql(f"DROP EXTENSION {identifier(extension)};\n", cluster=cluster, database=database)
        return
    # Only now: while changes are planned, the package may be one that this very run installs before.
    if now is not None and host.state.is_executing:
        refuse_missing(extension, now, version)
    todo = create(extension, schema, version) if now is None else change(extension, now, schema, version)
    if not todo:
        host.noop(f"extension {extension} is already in {database} as declared")
        return
    statements_lack(f"database {database}", todo)
    yield at.sql(transaction(todo), cluster=cluster, database=database)
