"""Who may come in: pg_hba.conf as one ordered whole."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Hba
from facts.postgres import cluster as at
from operations.differences import differs
from operations.postgres.differing import file_in_effect
from operations.postgres.sqltext import check_cluster, check_name

WHERE = "postgres.hba"
TYPES = ("local", "host", "hostssl", "hostnossl")
METHODS = ("scram-sha-256", "peer", "cert", "reject")
REFUSED_METHODS = {
    "trust": "it lets everybody in without a password; use scram-sha-256, or peer for local rows",
    "password": "it sends the password as it is; use scram-sha-256",
    "md5": "it is obsolete; scram-sha-256 serves the same clients",
    "ident": "it believes what the other host says; use scram-sha-256",
}
DATABASE_WORDS = ("all", "sameuser", "samerole", "replication")
ADDRESS_WORDS = ("samehost", "samenet")
OPTION = re.compile(r"[a-z]+=[A-Za-z0-9_./-]+")
FIRST = ("local", "all", "postgres", "", "peer")


@dataclass(frozen=True)
class Row:
    """
    One row of pg_hba.conf; the server takes the first that fits.

    + database: name, or one of the words all, sameuser, samerole, replication
    + role: name, or the word all; a name after a plus sign stands for that role's members
    + address: network such as "192.0.2.0/24" or "::1/128", or samehost, samenet; none for type local
    + type: host (default), local, hostssl or hostnossl
    + method: scram-sha-256 (default), peer (type local), cert (type hostssl) or reject
    + options: such as "clientcert=verify-full", default none
    """

    database: str
    role: str
    address: str | None = None
    type: str = "host"
    method: str = "scram-sha-256"
    options: tuple[str, ...] = ()


def loopback(database: str, role: str) -> list[Row]:
    """Write the default rows: this role into this database from the host itself, by password."""
    return [Row(database, role, "127.0.0.1/32"), Row(database, role, "::1/128")]


def quoted(what: str, value: str, words: Sequence[str]) -> str:
    """Quote a name for pg_hba.conf; quotes take away the meaning that words, + and @ have."""
    if value in words:
        return value
    plus = "+" if what == "role" and value.startswith("+") else ""
    plain = value.removeprefix(plus)
    check_name(WHERE, what, plain)
    # From 16 on a name that starts with a slash is a pattern, quoted or not.
    if plain.startswith("/"):
        raise OperationError(
            f"{WHERE}: {what} {value!r} would be a pattern in PostgreSQL 16; name it exactly"
        )
    doubled = plain.replace('"', '""')
    return f'{plus}"{doubled}"'


def checked_address(row: Row) -> str:
    if row.type == "local":
        if row.address is not None:
            raise OperationError(f"{WHERE}: a row of type local has the address {row.address!r}; remove it")
        return ""
    if row.address is None:
        raise OperationError(
            f"{WHERE}: the row of role {row.role!r} has no address; write a network such as 127.0.0.1/32"
        )
    if row.address in ADDRESS_WORDS:
        return row.address
    try:
        network = ipaddress.ip_network(row.address)
    except ValueError as problem:
        raise OperationError(
            f"{WHERE}: address {row.address!r} is not a network ({problem}); write it like 192.0.2.0/24"
        ) from None
    return str(network)


def line(row: Row) -> str:
    """Check one row and write it as a line."""
    if row.type not in TYPES:
        raise OperationError(f"{WHERE}: type {row.type!r} is none of {', '.join(TYPES)}; write one of them")
    if row.method in REFUSED_METHODS:
        raise OperationError(f"{WHERE}: method {row.method!r} is refused: {REFUSED_METHODS[row.method]}")
    if row.method not in METHODS:
        raise OperationError(
            f"{WHERE}: method {row.method!r} is none of {', '.join(METHODS)}; write one of them"
        )
    if row.method == "peer" and row.type != "local":
        raise OperationError(f"{WHERE}: method peer is for type local only; use scram-sha-256")
    if row.method == "cert" and row.type != "hostssl":
        raise OperationError(f"{WHERE}: method cert is for type hostssl only; change the type")
    for option in row.options:
        if not OPTION.fullmatch(option):
            raise OperationError(f"{WHERE}: option {option!r} is not of the form word=value; correct it")
    fields = (
        row.type, quoted("database", row.database, DATABASE_WORDS), quoted("role", row.role, ("all",)),
        checked_address(row), row.method, *row.options,
    )  # fmt: skip
    return "\t".join(field for field in fields if field)


def render(rows: Sequence[Row]) -> str:
    """Write the whole file: the administrator first, the given rows in their order, nobody else."""
    return "\n".join([
        "# Written by hostwright; what is changed here by hand is lost at the next run.",
        "# The first row that fits counts. The first one here keeps the administrator from being locked out.",
        "local\tall\tpostgres\tpeer",
        *(line(row) for row in rows),
        "local\tall\tall\treject",
        "local\treplication\tall\treject",
        "host\tall\tall\tall\treject",
        "host\treplication\tall\tall\treject",
        "# end",
        "",
    ])  # fmt: skip


@operation()
def hba(rows: list[Row], *, cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Say who may connect, from where and how, by the whole of pg_hba.conf; everybody else is rejected.

    The administrator's way in over the local socket comes first and the final rejects last, always. The
    server checks the file before a reload makes it count; if it finds an error the former file stays.

    + rows: the rows between, in order; `postgres.loopback(database, role)` makes the usual two
    + cluster: "VERSION/NAME", default the host's only one

    Does not converge pg_ident.conf, and does not end connections that a new row would reject.

    Raises OperationError for a row that PostgreSQL would refuse, and for methods that are not safe.

    Example:

        postgres.hba(
            name="Let the app in from its own host, and nobody else",
            rows=postgres.loopback("rec_io_db", "rec_io_user"),
        )
    """
    check_cluster(WHERE, cluster)
    content = render(rows)
    now = host.get_fact(Hba, cluster=cluster)
    if now is not None and now["file"] is not None and now["errors"] == 0:
        wanted = ("postgres:postgres", "0640", hashlib.sha256(content.encode()).hexdigest(), True)
        file = now["file"]
        if (file["owner"], file["mode"], file["sha256"], file["loaded"]) == wanted:
            host.noop(f"{now['path']} is already as declared and in effect")
            return
    if now is None:
        differs("pg_hba.conf", expected="as declared", found="no cluster is up")
    else:
        file_in_effect(now["path"], content, "0640", now["file"])
        if now["errors"]:
            differs(now["path"], expected="no errors", found=f"{now['errors']} lines that the server refuses")
    yield at.program("postgres-config.py", "hba", "pg_hba.conf", need=at.UP, cluster=cluster, stdin=content)
