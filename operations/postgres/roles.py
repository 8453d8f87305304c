"""Roles: every attribute in both directions, memberships, settings, and a password that is never shown."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timezone

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Role
from facts.postgres import cluster as at
from facts.postgres.roles import Attributes, Membership
from operations.postgres.sqltext import (
    Value,
    check_cluster,
    check_connection_limit,
    check_name,
    check_settings,
    identifier,
    literal,
    settings_difference,
    transaction,
)

WHERE = "postgres.role"
# Per-membership options and GRANTED BY came in 16.
MEMBERSHIP_OPTIONS = 16


def epoch(valid_until: str | None) -> int | None:
    """Read an ISO 8601 date or time, in UTC where it names no zone, as seconds since 1970."""
    if valid_until is None:
        return None
    try:
        moment = datetime.fromisoformat(valid_until.replace("Z", "+00:00"))
    except ValueError:
        raise OperationError(
            f"{WHERE}: valid_until {valid_until!r} is not a date;"
            f" write it like 2027-12-31 or 2027-12-31T18:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())


def attribute_words(wanted: Attributes, now: Attributes | None) -> list[str]:
    """Write the attributes that differ; all of them for a role that does not exist yet."""
    flags = {
        "login": "LOGIN", "superuser": "SUPERUSER", "createdb": "CREATEDB", "createrole": "CREATEROLE",
        "replication": "REPLICATION", "bypassrls": "BYPASSRLS", "inherit": "INHERIT",
    }  # fmt: skip
    words = []
    for key, word in flags.items():
        if now is None or now[key] != wanted[key]:  # type: ignore[literal-required]  # keys of both
            words.append(word if wanted[key] else f"NO{word}")  # type: ignore[literal-required]  # keys of both
    if now is None or now["connection_limit"] != wanted["connection_limit"]:
        words.append(f"CONNECTION LIMIT {wanted['connection_limit']}")
    until = wanted["valid_until"]
    if (None if now is None else now["valid_until"]) != until:
        moment = "infinity" if until is None else datetime.fromtimestamp(until, timezone.utc).isoformat()
        words.append(f"VALID UNTIL {literal(moment)}")
    return words


def membership_statements(
    role: str, wanted: Sequence[str] | None, now: Sequence[Membership], *, inherit: bool, version: int | None
) -> list[str]:
    """Write the grants and revokes that make a role a member of exactly the wanted roles; None: none."""
    if wanted is None:
        return []
    options = version is not None and version >= MEMBERSHIP_OPTIONS
    member = identifier(role)
    statements = []
    for group in wanted:
        held = [membership for membership in now if membership["role"] == group]
        stale = any(
            m["inherit"] is not None and m["inherit"] != inherit for m in held if m["grantor"] == "postgres"
        )
        if not held or stale:
            suffix = f" WITH INHERIT {str(inherit).upper()}" if options else ""
            statements.append(f"GRANT {identifier(group)} TO {member}{suffix};")
    for membership in now:
        group, grantor = identifier(membership["role"]), membership["grantor"]
        by = f" GRANTED BY {identifier(grantor)}" if options and grantor is not None else ""
        if membership["role"] not in wanted:
            statements.append(f"REVOKE {group} FROM {member}{by};")
        elif membership["admin"]:
            statements.append(f"REVOKE ADMIN OPTION FOR {group} FROM {member}{by};")
    return list(dict.fromkeys(statements))


@operation()
def role(
    role: str,
    *,
    password_file: str | None = None,
    login: bool = True,
    superuser: bool = False,
    createdb: bool = False,
    createrole: bool = False,
    replication: bool = False,
    bypassrls: bool = False,
    inherit: bool = True,
    connection_limit: int = -1,
    valid_until: str | None = None,
    member_of: Sequence[str] | None = None,
    settings: Mapping[str, Value | list[str]] | None = None,
    cluster: str | None = None,
    present: bool = True,
) -> Generator[StringCommand, None, None]:
    """
    Create, change or drop a role, so that every attribute is as declared, whatever it was before.

    + role: name, kept with its case and characters, at most 63 bytes
    + password_file: path on the host to a file of mode 0600 with the password in it (one newline at the
      end is not part of it); default none, which leaves the password alone
    + login: may connect, default True
    + superuser: default False
    + createdb: may create databases, default False
    + createrole: may create roles, default False
    + replication: may stream the write-ahead log, default False
    + bypassrls: is above row security, default False
    + inherit: has the privileges of the roles it is a member of, default True
    + connection_limit: connections at a time, default -1, no limit
    + valid_until: ISO 8601 date or time, UTC unless it says otherwise, after which the password does not
      count; default none, never
    + member_of: all roles it is a member of, no more, no less; default None, memberships are left alone
    + settings: all settings of its sessions, no more, no less; default None, left alone
    + cluster: "VERSION/NAME", default the host's only one
    + present: False drops the role, default True

    The host computes the SCRAM-SHA-256 verifier and compares it with the one PostgreSQL keeps: neither
    the password nor the verifier is seen in any output, process list or log.

    Does not converge settings for one role in one database, nor privileges (`postgres.privileges`).
    Dropping a role that owns something fails, and PostgreSQL says what it owns.

    Raises OperationError for a bad name, date or limit. Fails on the host where the password file is
    missing, empty, open to others, or has characters that clients do not agree on.

    Example:

        postgres.role(
            name="Let the app log in to PostgreSQL",
            role="rec_io_user",
            password_file="/etc/rec_io/database-password",
            connection_limit=40,
        )
    """
    check_cluster(WHERE, cluster)
    check_name(WHERE, "role", role)
    if role == "postgres":
        raise OperationError(
            f"{WHERE}: 'postgres' is the administrator that everything here runs as; name another"
        )
    if role.startswith("pg_") or role in ("public", "PUBLIC", "none"):
        raise OperationError(f"{WHERE}: role {role!r} is reserved by PostgreSQL; choose another name")
    if password_file is not None and not password_file.startswith("/"):
        raise OperationError(f"{WHERE}: password_file {password_file!r} is relative; write the absolute path")
    check_connection_limit(WHERE, connection_limit)
    check_settings(WHERE, settings or {})
    for group in member_of or ():
        check_name(WHERE, "role", group)
    if isinstance(member_of, str):
        raise OperationError(f"{WHERE}: member_of {member_of!r} is text; write a list of roles")
    wanted = Attributes(
        superuser=superuser, inherit=inherit, createrole=createrole, createdb=createdb, login=login,
        replication=replication, bypassrls=bypassrls, connection_limit=connection_limit,
        valid_until=epoch(valid_until),
    )  # fmt: skip

    now = host.get_fact(Role, role=role, password_file=password_file if present else None, cluster=cluster)
    attributes = None if now is None else now["role"]
    if not present:
        if now is not None and attributes is None:
            host.noop(f"role {role} is already gone")
            return
        yield at.sql(f"DROP ROLE {identifier(role)};\n", cluster=cluster)
        return

    words = attribute_words(wanted, attributes)
    verb = "CREATE" if attributes is None else "ALTER"
    statements = [f"{verb} ROLE {identifier(role)} {' '.join(words)};"] if words else []
    statements += settings_difference(f"ROLE {identifier(role)}", now["settings"] if now else [], settings)
    statements += membership_statements(
        role,
        member_of,
        now["member_of"] if now else [],
        inherit=inherit,
        version=now["version"] if now else None,
    )
    same_password = now is not None and now["password"] == "match"  # noqa: S105  # a word, not a password
    set_password = password_file is not None and not same_password
    if not statements and not set_password:
        host.noop(f"role {role} is already as declared")
        return
    if statements:
        yield at.sql(transaction(statements), cluster=cluster)
    if set_password and password_file is not None:
        yield at.program("postgres-password.py", "set", role, password_file, need=at.UP, cluster=cluster)
