"""Databases, and the schemas in them: owner, encoding, and nothing for everybody."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Database, Schema
from facts.postgres import cluster as at
from facts.postgres.databases import DatabaseDetails, SchemaFields
from operations.postgres.sqltext import (
    Value,
    check_cluster,
    check_connection_limit,
    check_name,
    check_settings,
    connect,
    identifier,
    literal,
    settings_difference,
    transaction,
)

WHERE = "postgres.database"
OWN_BY_ROLE = 15  # from here on pg_database_owner owns schema public, and nobody else may create in it
PACKAGED = ("postgres", "template0", "template1")


def same_locale(one: str, other: str) -> bool:
    """Compare two names of a locale as the C library does: C.UTF-8 is C.utf8."""

    def plain(locale: str) -> str:
        language, dot, codeset = locale.partition(".")
        return language + dot + codeset.lower().replace("-", "")

    return plain(one) == plain(other)


def encoding_key(encoding: str) -> str:
    plain = encoding.upper().replace("-", "").replace("_", "")
    return "UTF8" if plain in ("UNICODE", "UTF8") else plain


def check_fixed(database: str, now: DatabaseDetails, encoding: str, locale: str | None) -> None:
    """Refuse what cannot be changed in a database that exists."""
    remedy = "dump it, create it again and restore it, or declare what it has"
    if encoding_key(now["encoding"]) != encoding_key(encoding):
        raise OperationError(
            f"{WHERE}: {database} has encoding {now['encoding']} and not {encoding}, which cannot be changed"
            f" in place; {remedy}: encoding={now['encoding']!r}"
        )
    for found in (now["collate"], now["ctype"]) if locale is not None else ():
        if not same_locale(found, locale or ""):
            raise OperationError(
                f"{WHERE}: {database} has locale {found} and not {locale}, which cannot be changed in place;"
                f" {remedy}: locale={found!r}"
            )


def public_statements(database: str, now: list[str], public_connect: bool) -> list[str]:
    """Write what brings everybody's privileges on a database to CONNECT or nothing."""
    wanted = ["CONNECT"] if public_connect else []
    target = f"ON DATABASE {identifier(database)}"
    extra = [privilege for privilege in now if privilege not in wanted]
    missing = [privilege for privilege in wanted if privilege not in now]
    return [f"REVOKE {', '.join(extra)} {target} FROM PUBLIC;"] * bool(extra) + [
        f"GRANT {', '.join(missing)} {target} TO PUBLIC;"
    ] * bool(missing)


def schema_statements(now: SchemaFields | None, owner: str, version: int) -> list[str]:
    """Write what gives schema public to the database's owner, and lets nobody else create in it."""
    if now is None:
        return []  # somebody dropped it, which is as safe
    new_owner = "pg_database_owner" if version >= OWN_BY_ROLE else owner
    statements = []
    if now["owner"] not in (owner, new_owner):
        statements.append(f"ALTER SCHEMA public OWNER TO {identifier(new_owner)};")
    if "CREATE" in now["public"]:
        statements.append("REVOKE CREATE ON SCHEMA public FROM PUBLIC;")
    return statements


@operation()
def database(
    database: str,
    *,
    owner: str,
    encoding: str = "UTF8",
    locale: str | None = None,
    template: str = "template0",
    connection_limit: int = -1,
    settings: Mapping[str, Value | list[str]] | None = None,
    public_connect: bool = False,
    cluster: str | None = None,
    present: bool = True,
    really_drop: bool = False,
) -> Generator[StringCommand, None, None]:
    """
    Create a database or bring it to its owner, settings and privileges; its owner may do all in it.

    Other roles may do nothing in it, not even connect, until they are granted it. On 13 and 14 schema public
    is given to the owner and CREATE in it taken from everybody, as it is from 15 on.

    + database: name, kept with its case and characters, at most 63 bytes
    + owner: role that owns it; it must exist
    + encoding: default "UTF8"; for a new database only, a different one is an error
    + locale: LC_COLLATE and LC_CTYPE, such as "C.UTF-8"; for a new database only, a different one is an
      error; default that of the template, not compared
    + template: database that a new one is a copy of, default "template0"; never compared
    + connection_limit: connections at a time, default -1, no limit
    + settings: all settings of sessions in it, no more, no less; default None, left alone
    + public_connect: everybody may connect, default False
    + cluster: "VERSION/NAME", default the host's only one
    + present: False drops the database with all that is in it, default True; needs `really_drop=True`

    Does not converge encoding, locale, tablespace, or what roles were granted (`postgres.privileges`).

    Raises OperationError for a bad name, another encoding or locale than declared, and present=False without
    really_drop=True.

    Example:

        postgres.database(
            name="Create the app's database",
            database="rec_io_db",
            owner="rec_io_user",
            locale="C.UTF-8",
        )
    """
    check_cluster(WHERE, cluster)
    check_name(WHERE, "database", database)
    check_name(WHERE, "role", owner)
    check_name(WHERE, "database", template)
    check_connection_limit(WHERE, connection_limit)
    check_settings(WHERE, settings or {})
    if database in PACKAGED:
        raise OperationError(
            f"{WHERE}: {database!r} comes with PostgreSQL and is its own; choose another name"
        )
    if not present and not really_drop:
        raise OperationError(
            f"{WHERE}: present=False would drop {database!r} with all that is in it;"
            " if that is meant, add really_drop=True"
        )

    found = host.get_fact(Database, database=database, cluster=cluster)
    now = None if found is None else found["database"]
    if not present:
        if found is not None and now is None:
            host.noop(f"database {database} is already gone")
            return
        yield at.sql(f"DROP DATABASE {identifier(database)};\n", cluster=cluster)
        return

    target = f"DATABASE {identifier(database)}"
    if now is None:
        version = OWN_BY_ROLE if found is None else found["version"]
        text = created(
            database, owner, encoding=encoding, locale=locale, template=template, settings=settings,
            connection_limit=connection_limit, public_connect=public_connect, version=version,
        )  # fmt: skip
        yield at.sql(text, cluster=cluster)
        return

    check_fixed(database, now, encoding, locale)
    outside = []
    if now["owner"] != owner:
        outside.append(f"ALTER {target} OWNER TO {identifier(owner)};")
    if now["connection_limit"] != connection_limit:
        outside.append(f"ALTER {target} CONNECTION LIMIT {connection_limit};")
    outside += public_statements(database, now["public"], public_connect)
    outside += settings_difference(target, now["settings"], settings)
    inside = schema_statements(found["schema"], owner, found["version"]) if found else []
    if not outside and not inside:
        host.noop(f"database {database} is already as declared")
        return
    yield at.sql(script(database, outside, inside), cluster=cluster)


def created(
    database: str,
    owner: str,
    *,
    version: int,
    encoding: str = "UTF8",
    locale: str | None = None,
    template: str = "template0",
    connection_limit: int = -1,
    settings: Mapping[str, Value | list[str]] | None = None,
    public_connect: bool = False,
) -> str:
    """Write what makes a new database, its owner's alone."""
    # CREATE DATABASE cannot be part of a transaction; the next run does what a cut left undone.
    target = f"DATABASE {identifier(database)}"
    place = "" if locale is None else f" LOCALE {literal(locale)}"
    create = (
        f"CREATE {target} OWNER {identifier(owner)} TEMPLATE {identifier(template)}"
        f" ENCODING {literal(encoding)}{place} CONNECTION LIMIT {connection_limit};"
    )
    everybody = ["CREATE"] if version < OWN_BY_ROLE or template != "template0" else []
    inside = schema_statements(SchemaFields(owner="", public=everybody), owner, version) if everybody else []
    outside = public_statements(database, ["CONNECT", "TEMPORARY"], public_connect)
    outside += settings_difference(target, [], settings)
    return f"{create}\n{script(database, outside, inside)}"


def script(database: str, outside: list[str], inside: list[str]) -> str:
    """Join what happens beside a database with what happens in it, each all or nothing."""
    text = transaction(outside) if outside else ""
    return f"{text}{connect(database)}\n{transaction(inside)}" if inside else text


@operation()
def schema(
    schema: str, *, database: str, owner: str, cluster: str | None = None, present: bool = True
) -> Generator[StringCommand, None, None]:
    """
    Create a schema in a database or give it to its owner.

    + schema: name, at most 63 bytes
    + database: database that it is in; it must exist
    + owner: role that owns it; it must exist
    + cluster: "VERSION/NAME", default the host's only one
    + present: False drops it, default True; PostgreSQL refuses while anything is in it

    Does not converge privileges (`postgres.privileges`), nor the owners of what is in it.

    Raises OperationError for a bad name.

    Example: `postgres.schema("trades", database="rec_io_db", owner="rec_io_owner")`
    """
    where = "postgres.schema"
    check_cluster(where, cluster)
    check_name(where, "schema", schema)
    check_name(where, "database", database)
    check_name(where, "role", owner)
    if schema.startswith("pg_") or schema == "information_schema":
        raise OperationError(f"{where}: schema {schema!r} is reserved by PostgreSQL; choose another name")
    found = host.get_fact(Schema, schema=schema, database=database, cluster=cluster)
    now = None if found is None else found["owner"]
    if not present:
        if found is not None and now is None:
            host.noop(f"schema {schema} is already gone")
            return
        yield at.sql(f"DROP SCHEMA {identifier(schema)};\n", cluster=cluster, database=database)
    elif now is None:
        statement = f"CREATE SCHEMA {identifier(schema)} AUTHORIZATION {identifier(owner)};\n"
        yield at.sql(statement, cluster=cluster, database=database)
    elif now != owner:
        statement = f"ALTER SCHEMA {identifier(schema)} OWNER TO {identifier(owner)};\n"
        yield at.sql(statement, cluster=cluster, database=database)
    else:
        host.noop(f"schema {schema} is already there and belongs to {owner}")
