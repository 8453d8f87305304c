"""What an app's database and its three roles need in SQL: pure functions of what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facts.postgres.app import AppFields, Owned, RoleDifference
from facts.postgres.roles import Attributes
from operations.postgres.databases import OWN_BY_ROLE, public_statements
from operations.postgres.grants import KNOWN, MANY, ONE
from operations.postgres.roles import attribute_words, membership_statements
from operations.postgres.sqltext import grantee, identifier, transaction

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
