"""An app's database and its three roles: one owns it, one is the app's, one only reads."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import App
from facts.postgres import cluster as at
from operations.differences import differs
from operations.postgres.app_text import (
    ALSO,
    at_first,
    given_away,
    inside,
    outside,
    role_statements,
    wanted_of,
)
from operations.postgres.databases import OWN_BY_ROLE, created
from operations.postgres.differing import statements_lack
from operations.postgres.extensions import missing
from operations.postgres.sqltext import (
    check_cluster,
    check_connection_limit,
    check_name,
    identifier,
    transaction,
)

WHERE = "postgres.app"


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
        statements_lack(f"roles of {database}", todo)
        yield at.sql(transaction(todo), cluster=cluster)
    states = now["passwords"] if now is not None else [""] * len(files)
    for (one, path), state in zip(files.items(), states, strict=True):
        if state != "match":
            changed = True
            differs(f"password of role {one}", expected=f"the one in {path}", found=state or "no role")
            yield at.program("postgres-password.py", "set", one, path, need=at.UP, cluster=cluster)

    if now is None or now["database"] is None:
        differs(f"database {database}", expected=f"owned by {owner}", found="none")
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
        statements_lack(f"database {database}", todo)
        yield at.sql(transaction(todo), cluster=cluster, database=database)
    if now["owned"]:
        changed = True
        for thing in now["owned"]:
            what = f"{thing['type']} {thing['identity']} in {database}"
            differs(what, expected=f"owned by {owner}", found=f"owned by {role}")
        # The owner was made a member of the app's role at first, so that what is the owner's already, such as
        # a view, works with what is not yet.
        moved = "".join(given_away(one, owner, role, wanted[role]) for one in now["owned"])
        yield at.program("postgres-patient.sh", database, need=at.UP, cluster=cluster, stdin=moved)
        yield at.sql(f"REVOKE {identifier(role)} FROM {identifier(owner)};\n", cluster=cluster)
    todo = outside(now, database, owner, role, wanted[role]["database"])
    if todo:
        changed = True
        statements_lack(f"database {database}", todo)
        yield at.sql(transaction(todo), cluster=cluster)
    if not changed:
        host.noop(f"database {database} and its roles {', '.join(roles)} are already as declared")
