"""What a role may do in one schema: exactly the declared privileges, now and on what is created later."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Privileges
from facts.postgres import cluster as at
from facts.postgres.databases import Difference
from operations.postgres.sqltext import check_cluster, check_name, grantee, identifier, transaction

WHERE = "postgres.privileges"
KNOWN = {
    "database": ("CONNECT", "CREATE", "TEMPORARY"),
    "schema": ("USAGE", "CREATE"),
    "tables": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"),
    "sequences": ("USAGE", "SELECT", "UPDATE"),
    "functions": ("EXECUTE",),
}
# What GRANT calls one of a kind; views are tables to it, and procedures routines.
ONE = {
    "database": "DATABASE",
    "schema": "SCHEMA",
    "tables": "TABLE",
    "sequences": "SEQUENCE",
    "functions": "ROUTINE",
}
MANY = {"tables": "TABLES", "sequences": "SEQUENCES", "functions": "ROUTINES"}


def checked(kind: str, privileges: Sequence[str]) -> list[str]:
    """Refuse what is no privilege of this kind; sorted, in capitals."""
    if isinstance(privileges, str):
        raise OperationError(f"{WHERE}: {kind}={privileges!r} is text; write a list such as [{privileges!r}]")
    names = {"TEMPORARY" if privilege.upper() == "TEMP" else privilege.upper() for privilege in privileges}
    for privilege in sorted(names - set(KNOWN[kind])):
        raise OperationError(
            f"{WHERE}: {privilege!r} is no privilege on {kind}; there are {', '.join(KNOWN[kind])}"
        )
    return sorted(names)


def statements(role: str, schema: str, difference: Difference) -> list[str]:
    """Write what brings one object, or one creator's default, to the declared privileges."""
    kind = difference["kind"]
    if difference["target"] == "default":
        # Everybody's defaults can be taken back only for all schemas at once.
        place = "" if role == "PUBLIC" else f" IN SCHEMA {identifier(schema)}"
        prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(difference['object'])}{place} "
        target = f"ON {MANY[kind]}"
    else:
        # The catalog itself wrote this name, quoted and with its schema.
        prefix, target = "", f"ON {ONE[kind]} {difference['object']}"
    to = grantee(role)
    result = []
    if difference["missing"]:
        result.append(f"{prefix}GRANT {', '.join(difference['missing'])} {target} TO {to};")
    if difference["extra"]:
        result.append(f"{prefix}REVOKE {', '.join(difference['extra'])} {target} FROM {to};")
    if difference["grantable"]:
        options = ", ".join(difference["grantable"])
        result.append(f"{prefix}REVOKE GRANT OPTION FOR {options} {target} FROM {to};")
    return result


def everything(
    role: str, database: str, schema: str, wanted: dict[str, list[str]], creators: Sequence[str]
) -> list[str]:
    """Write all grants, where nothing is known about the database yet."""
    result = []
    for kind, privileges in wanted.items():
        if not privileges:
            continue
        words = ", ".join(privileges)
        if kind in MANY:
            result.append(
                f"GRANT {words} ON ALL {MANY[kind]} IN SCHEMA {identifier(schema)} TO {grantee(role)};"
            )
        else:
            what = database if kind == "database" else schema
            result.append(f"GRANT {words} ON {ONE[kind]} {identifier(what)} TO {grantee(role)};")
    for creator in creators:
        for kind in MANY:
            if wanted.get(kind):
                default = Difference(
                    target="default", kind=kind, object=creator, missing=wanted[kind], extra=[], grantable=[]
                )
                result += statements(role, schema, default)
    return result


@operation()
def privileges(
    role: str,
    *,
    database: str,
    schema: str = "public",
    on_database: Sequence[str] | None = None,
    on_schema: Sequence[str] | None = None,
    tables: Sequence[str] | None = None,
    sequences: Sequence[str] | None = None,
    functions: Sequence[str] | None = None,
    creators: Sequence[str] = (),
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Give a role exactly these privileges in a schema: what is missing is granted, what is too much revoked.

    + role: name of the role, or "PUBLIC" for everybody
    + database: database that the schema is in; both must exist
    + schema: default "public"
    + on_database: of CONNECT, CREATE, TEMPORARY; here and below None leaves all as it is, [] revokes all
    + on_schema: of USAGE, CREATE
    + tables: for every table, view and materialised view in the schema, such as ["SELECT"]
    + sequences: of USAGE, SELECT, UPDATE, for every sequence
    + functions: ["EXECUTE"] or [], for every function and procedure
    + creators: roles whose later tables, sequences and functions in this schema get the same; without
      it a grant ends with what exists today. Default none. For PUBLIC it counts in all schemas, because
      PostgreSQL can take everybody's defaults back only there.
    + cluster: "VERSION/NAME", default the host's only one

    Does not converge privileges on single columns, grants made by somebody else than the owner,
    what an extension brought, the role's own objects, or what it has as a member of another role.

    Raises OperationError for a bad name or a privilege that its kind does not have.

    Example, a role that only reads:

        postgres.privileges(
            name="Let the reports read every table, also later ones",
            role="rec_io_reader",
            database="rec_io_db",
            on_database=["CONNECT"],
            on_schema=["USAGE"],
            tables=["SELECT"],
            sequences=[],
            creators=["rec_io_owner"],
        )
    """
    check_cluster(WHERE, cluster)
    for what, value in (("role", role), ("database", database), ("schema", schema)):
        check_name(WHERE, what, value)
    if isinstance(creators, str):
        raise OperationError(f"{WHERE}: creators={creators!r} is text; write a list such as [{creators!r}]")
    for creator in creators:
        check_name(WHERE, "role", creator)
    given = {
        "database": on_database, "schema": on_schema, "tables": tables, "sequences": sequences,
        "functions": functions,
    }  # fmt: skip
    wanted = {kind: checked(kind, names) for kind, names in given.items() if names is not None}
    if not wanted:
        raise OperationError(
            f"{WHERE}: nothing is declared for role {role!r}; give at least one kind, such as tables="
        )
    now = host.get_fact(
        Privileges, role=role, database=database, schema=schema, wanted=wanted, creators=list(creators),
        cluster=cluster,
    )  # fmt: skip
    if now is None or not now["schema"]:
        todo = everything(role, database, schema, wanted, creators)
    else:
        todo = [line for difference in now["differences"] for line in statements(role, schema, difference)]
    if not todo:
        host.noop(f"role {role} already has exactly the declared privileges in {database}.{schema}")
        return
    yield at.sql(transaction(todo), cluster=cluster, database=database)
