"""An app's database and its three roles: one owns it, one is the app's, one only reads."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import App
from facts.postgres import cluster as at
from facts.postgres.app import AppFields, Owned, RoleDifference
from facts.postgres.roles import Attributes
from operations.postgres.databases import OWN_BY_ROLE, created, public_statements
from operations.postgres.extensions import missing
from operations.postgres.grants import KNOWN, MANY, ONE
from operations.postgres.roles import attribute_words, membership_statements
from operations.postgres.sqltext import (
    check_cluster,
    check_connection_limit,
    check_name,
    grantee,
    identifier,
    transaction,
)

WHERE = "postgres.app"
LATER = {"schema": "SCHEMAS", **MANY}
# What the app's role may be given beyond reading and writing rows.
ALSO = ("TEMPORARY", "TRUNCATE", "REFERENCES", "TRIGGER")
ROUTINES = ("function", "procedure", "aggregate")
TABLES = ("table", "view", "materialized view", "foreign table")
Wanted = dict[str, dict[str, list[str]]]


def wanted_of(role: str, reader: str, also: Sequence[str]) -> Wanted:
    """Return what each role may do, by kind."""
    tables = sorted({"SELECT", "INSERT", "UPDATE", "DELETE", *also} & set(KNOWN["tables"]))
    return {
        role: {
            "database": sorted({"CONNECT", *also} & set(KNOWN["database"])),
            "schema": ["USAGE"],
            "tables": tables,
            "sequences": ["SELECT", "USAGE"],
            "functions": ["EXECUTE"],
        },
        # Functions are left alone: a migration may grant those that are safe, such as a view's.
        reader: {
            "database": ["CONNECT"], "schema": ["USAGE"], "tables": ["SELECT"], "sequences": [],
        },
        # A function that runs as its owner would be a way around everything else.
        "PUBLIC": {"functions": []},
    }  # fmt: skip


def statements(difference: RoleDifference) -> list[str]:
    """Write what brings one object, or what the owner makes later, to what one role may do."""
    kind, place = difference["kind"], difference["schema"]
    if difference["target"] == "default":
        within = "" if place is None else f" IN SCHEMA {place}"
        prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {difference['object']}{within} "
        target = f"ON {LATER[kind]}"
    else:
        # The catalog itself wrote this name, quoted and with its schema.
        prefix, target = "", f"ON {ONE[kind]} {difference['object']}"
    to = grantee(difference["role"])
    result = []
    if difference["missing"]:
        result.append(f"{prefix}GRANT {', '.join(difference['missing'])} {target} TO {to};")
    if difference["extra"]:
        result.append(f"{prefix}REVOKE {', '.join(difference['extra'])} {target} FROM {to};")
    if difference["grantable"]:
        options = ", ".join(difference["grantable"])
        result.append(f"{prefix}REVOKE GRANT OPTION FOR {options} {target} FROM {to};")
    return result


def later(owner: str, wanted: Wanted) -> list[str]:
    """Write what the roles may do with what the owner makes from now on, where nothing is said of it yet."""
    result = []
    for role, kinds in wanted.items():
        for kind in kinds.keys() & LATER.keys():
            # Functions are everybody's to run by PostgreSQL's own default.
            extra = ["EXECUTE"] if role == "PUBLIC" else []
            result += statements(
                RoleDifference(
                    target="default", kind=kind, object=identifier(owner), schema=None, role=role,
                    missing=kinds[kind], extra=extra, grantable=[],
                )
            )  # fmt: skip
    return sorted(result)


def at_first(database: str, owner: str, wanted: Wanted) -> list[str]:
    """Write all that the roles may do in a database that has nothing in it yet."""
    result = later(owner, wanted)
    for kind, here in (("database", database), ("schema", "public")):
        for role, kinds in wanted.items():
            if kinds.get(kind):
                to = grantee(role)
                result.append(f"GRANT {', '.join(kinds[kind])} ON {ONE[kind]} {identifier(here)} TO {to};")
    return result


def given_away(owned: Owned, owner: str, role: str, may: Mapping[str, list[str]]) -> str:
    """Write the transaction that makes one object the owner's, and leaves the app what it may do with it."""
    kind, identity, to = owned["type"], owned["identity"], identifier(role)
    word = "STATISTICS" if kind == "statistics object" else kind.upper()
    grants = [("SEQUENCE", sequence, may["sequences"]) for sequence in owned["sequences"]]
    if kind in TABLES:
        grants.insert(0, ("TABLE", identity, may["tables"]))
    elif kind == "sequence":
        grants.append(("SEQUENCE", identity, may["sequences"]))
    elif kind in ROUTINES:
        grants.append(("ROUTINE", identity, may["functions"]))
    elif kind == "schema":
        grants.append(("SCHEMA", identity, may["schema"]))
    elif kind == "large object":
        grants.append(("LARGE OBJECT", identity, ["SELECT", "UPDATE"]))
    lines = [f"ALTER {word} {identity} OWNER TO {identifier(owner)};"]
    lines += [f"GRANT {', '.join(names)} ON {what} {which} TO {to};" for what, which, names in grants]
    return transaction(lines)


def outside(now: AppFields, database: str, owner: str, role: str, may: Sequence[str]) -> list[str]:
    """Write what gives the database itself to its owner, without a moment in which the app is kept out."""
    details = now["database"]
    if details is None:
        return []
    target = f"DATABASE {identifier(database)}"
    result = public_statements(database, details["public"], public_connect=False)
    if details["owner"] != owner:
        result += [
            f"ALTER {target} OWNER TO {identifier(owner)};",
            f"GRANT {', '.join(may)} ON {target} TO {identifier(role)};",
        ]
    return result


def inside(now: AppFields, owner: str, role: str, wanted: Wanted) -> list[str]:
    """Write what differs in the database; what the app's role still owns is given away after it."""
    # Of an owner that was not there yet the catalog says nothing.
    result = later(owner, wanted) if now["roles"][0]["role"] is None else []
    result += [line for difference in now["differences"] for line in statements(difference)]
    schema = now["schema"]
    if schema is None:
        return result  # somebody dropped schema public, which is as safe
    right = "pg_database_owner" if now["version"] >= OWN_BY_ROLE else owner
    if "CREATE" in schema["public"]:
        result.append("REVOKE CREATE ON SCHEMA public FROM PUBLIC;")
    if schema["owner"] not in (owner, right, role):
        result.append(f"ALTER SCHEMA public OWNER TO {identifier(right)};")
    return result


@operation()
def app(
    database: str,
    *,
    owner: str,
    owner_password_file: str,
    role: str,
    password_file: str,
    reader: str,
    reader_password_file: str | None = None,
    also: Sequence[str] = (),
    connection_limit: int = -1,
    extensions: Sequence[str] = (),
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Have a database for one app: its owner, who makes the tables, the app's role, and a role that only reads.

    The app's role reads and writes rows, uses sequences and runs functions, in every schema, and in what the
    owner makes later. The reader reads every table. Nobody else may connect. Where the app's role owns the
    database and what is in it, that becomes the owner's: an object at a time, each in one short transaction
    with what the app may do with it, so that the app works all the while.

    + database: name
    + owner: role that owns the database and what is in it; it logs in for migrations
    + owner_password_file, password_file: files on the host, of mode 0600, with the passwords
    + role: the app's
    + reader: role that may SELECT and no more; people's own roles can be members of it
    + reader_password_file: default none, and the reader itself does not log in
    + also: what the app's role may do besides, of TEMPORARY, TRUNCATE, REFERENCES, TRIGGER; default none
    + connection_limit: connections of the app's role at a time, default -1, no limit
    + extensions: made where they are missing, in schema public and as the host has them, default none;
      `postgres.extension` knows more, and asks the host once more for each
    + cluster: "VERSION/NAME", default the host's only one

    Does not converge encoding, locale and settings of the database (`postgres.database`), privileges on
    single columns, what extensions brought, who owns objects of other roles, memberships of the app's
    role in roles that are not these, and what the reader may execute.

    Raises OperationError for a bad name, two roles of one name, and a privilege that is not in the list.

    Example:

        postgres.app(
            name="Have the database of the shop",
            database="shop", owner="shop_owner", role="shop", reader="shop_reader",
            owner_password_file="/etc/shop/secrets/db_owner_password",
            password_file="/etc/shop/secrets/db_password",
        )
    """
    check_cluster(WHERE, cluster)
    check_name(WHERE, "database", database)
    roles = [owner, role, reader]
    for one in roles:
        check_name(WHERE, "role", one)
        if one == "postgres" or one.startswith("pg_") or one in ("public", "PUBLIC", "none"):
            raise OperationError(f"{WHERE}: role {one!r} is reserved by PostgreSQL; choose another name")
    if len(set(roles)) != len(roles):
        raise OperationError(f"{WHERE}: {', '.join(roles)} are not three roles; give each its own name")
    check_connection_limit(WHERE, connection_limit)
    for extension in extensions:
        check_name(WHERE, "extension", extension)
    for privilege in also:
        if privilege not in ALSO:
            raise OperationError(f"{WHERE}: also {privilege!r} is none of {', '.join(ALSO)}; correct it")
    files = {owner: owner_password_file, role: password_file}
    if reader_password_file is not None:
        files[reader] = reader_password_file
    for path in files.values():
        if not path.startswith("/"):
            raise OperationError(f"{WHERE}: password file {path!r} is relative; write the absolute path")
    wanted = wanted_of(role, reader, also)

    now = host.get_fact(
        App, database=database, owner=owner, app=role, reader=reader, passwords=files, wanted=wanted,
        cluster=cluster,
    )  # fmt: skip
    changed = False
    groups = {owner: [role] if now is not None and now["owned"] else [], role: None, reader: []}
    todo = role_statements(now, groups, {role: connection_limit}, logins=set(files))
    if todo:
        changed = True
        yield at.sql(transaction(todo), cluster=cluster)
    states = now["passwords"] if now is not None else [""] * len(files)
    for (one, path), state in zip(files.items(), states, strict=True):
        if state != "match":
            changed = True
            yield at.program("postgres-password.py", "set", one, path, need=at.UP, cluster=cluster)

    if now is None or now["database"] is None:
        yield at.sql(
            created(database, owner, version=OWN_BY_ROLE if now is None else now["version"]), cluster=cluster
        )
        first = [*at_first(database, owner, wanted), *missing(extensions, ())]
        yield at.sql(transaction(first), cluster=cluster, database=database)
        return
    todo = inside(now, owner, role, wanted)
    todo += missing(extensions, now["extensions"]) if extensions else []
    if todo:
        changed = True
        yield at.sql(transaction(todo), cluster=cluster, database=database)
    if now["owned"]:
        changed = True
        # The owner was made a member of the app's role at first, so that what is the owner's already, such as
        # a view, works with what is not yet.
        moved = "".join(given_away(one, owner, role, wanted[role]) for one in now["owned"])
        yield at.program("postgres-patient.sh", database, need=at.UP, cluster=cluster, stdin=moved)
        yield at.sql(f"REVOKE {identifier(role)} FROM {identifier(owner)};\n", cluster=cluster)
    todo = outside(now, database, owner, role, wanted[role]["database"])
    if todo:
        changed = True
        yield at.sql(transaction(todo), cluster=cluster)
    if not changed:
        host.noop(f"database {database} and its roles {', '.join(roles)} are already as declared")


def role_statements(
    now: AppFields | None,
    groups: Mapping[str, list[str] | None],
    limits: Mapping[str, int],
    *,
    logins: set[str],
) -> list[str]:
    """Write what makes the roles, or brings their attributes and memberships to what is declared."""
    result = []
    members = []
    for place, (one, member_of) in enumerate(groups.items()):
        found = None if now is None else now["roles"][place]
        attributes = None if found is None else found["role"]
        wanted = Attributes(
            superuser=False, inherit=True, createrole=False, createdb=False, login=one in logins,
            replication=False, bypassrls=False, connection_limit=limits.get(one, -1), valid_until=None,
        )  # fmt: skip
        words = attribute_words(wanted, attributes)
        verb = "CREATE" if attributes is None else "ALTER"
        if words:
            result.append(f"{verb} ROLE {identifier(one)} {' '.join(words)};")
        held = found["member_of"] if found is not None else []
        if member_of is None:
            # Of roles that are not ours it may be a member; of the owner it would be the owner.
            held = [membership for membership in held if membership["role"] in groups]
        members += membership_statements(
            one, member_of or [], held, inherit=True, version=None if now is None else now["version"]
        )
    # Two roles cannot be members of each other, not even on the way.
    return result + sorted(members, key=lambda line: line.startswith("GRANT"))
