"""pgbouncer: a connection pool of one app's own, under a unit of its own, on this host alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.pgbouncer import Pool, PoolFields
from facts.postgres import cluster as at
from operations.differences import differs
from operations.postgres.sqltext import check_cluster, check_name
from operations.supervisor_text import name, render
from operations.told import told

WHERE = "pgbouncer.pool"
MODES = ("session", "transaction")
# From here on it keeps track of statements that a client prepared, whichever connection they are sent to.
PREPARES = (1, 21)
PREPARED = 200
# From here on SIGTERM waits for the clients, and SIGQUIT does not.
WAITS_AT_TERM = (1, 23)


def unit_of(app: str) -> str:
    """Return the systemd unit of an app's pool."""
    return f"pgbouncer-{app}.service"


def files_of(app: str) -> tuple[str, str]:
    """Return an app's configuration of its pool, and its file of users."""
    return f"/etc/{app}/pgbouncer.ini", f"/etc/{app}/pgbouncer.users"


def number(version: str | None) -> tuple[int, ...]:
    """Return a version such as "1.18" as numbers; the oldest that is known where there is none yet."""
    return tuple(int(part) for part in (version or "1.0").split("."))


@operation()
def pool(
    app: str,
    *,
    database: str,
    role: str,
    group: str,
    port: int = 6432,
    mode: str = "session",
    size: int = 20,
    clients: int = 200,
    server_port: int = 5432,
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Run a pgbouncer for one app's database and role, on 127.0.0.1, under the unit `pgbouncer-<app>.service`.

    It logs in to the server with what the app proved by its own login (SCRAM), and knows of the password
    only the verifier that the server has. A changed limit, mode or password is taken over by a reload, which
    ends no connection; another port, or another unit, by a restart. A configuration that pgbouncer itself
    does not take leaves the former one as it is.

    + app: names the unit, and `/etc/<app>` (which must exist), where its files are
    + database: the only one that it leads to
    + role: the only one that it lets in; it must have a SCRAM password
    + group: group that may read its files; the unit runs under a user that exists only while it runs
    + port: where it listens, default 6432
    + mode: "session" (default) or "transaction"
    + size: connections to the server at most, default 20
    + clients: connections to it at most, default 200
    + server_port: of the database server, default 5432
    + cluster: "VERSION/NAME", default the host's only one

    Does not install it, nor keep the package's own instance off (`packages.masked`).

    Raises OperationError for arguments that it cannot take.

    Example:

        pgbouncer.pool(
            name="Pool the connections of shop", app="shop", database="shop_db", role="shop", group="shop",
        )
    """
    check_cluster(WHERE, cluster)
    for what, value in (("database", database), ("role", role)):
        check_name(WHERE, what, value)
        name(value, what)
    if database == "pgbouncer":
        raise OperationError(f"{WHERE}: database 'pgbouncer' is the name of its own console; choose another")
    if mode not in MODES:
        raise OperationError(f"{WHERE}: mode {mode!r} is not one of {', '.join(MODES)}")
    for what, count in (("port", port), ("size", size), ("clients", clients), ("server_port", server_port)):
        if count < 1:
            raise OperationError(f"{WHERE}: {what} is {count}; write a number, 1 or more")
    unit, (ini_path, users_path) = unit_of(name(app, "app")), files_of(app)
    now = host.get_fact(Pool, unit=unit, ini=ini_path, users=users_path, role=role, cluster=cluster)
    version = number(now["version"] if now is not None else None)
    values = {
        "app": app, "database": database, "role": role, "group": name(group, "group"), "port": port,
        "mode": mode, "size": size, "clients": clients, "server_port": server_port, "ini_path": ini_path,
        "users_path": users_path,
        "watched": f"/etc/systemd/system/{unit} {ini_path} {users_path}",
        "started": f"/run/{unit.removesuffix('.service')}.started",
        "prepared": PREPARED if mode == "transaction" and version >= PREPARES else None,
        "kill_signal": "SIGQUIT" if version >= WAITS_AT_TERM else "SIGTERM",
    }  # fmt: skip
    ini, text = render("pgbouncer.ini.j2", **values), render("pgbouncer.service.j2", **values)
    if now is not None and now["users"] and now["enabled"] and now["due"] == "nothing":
        digests = [hashlib.sha256(one.encode()).hexdigest() for one in (ini, text)]
        if [now["ini"], now["unit"]] == digests:
            host.noop(f"{unit} already runs as declared")
            return
    _tell(unit, now, {ini_path: ini, f"/etc/systemd/system/{unit}": text})
    sent = json.dumps({"ini": ini, "unit": text, "group": group, "port": port})
    yield told(
        at.program(
            "pgbouncer-control.py", "apply", unit, ini_path, users_path, role,
            need=at.UP, cluster=cluster, stdin=sent,
        )
    )  # fmt: skip


def _tell(unit: str, now: PoolFields | None, files: Mapping[str, str]) -> None:
    if now is None:
        differs(unit, expected="runs", found="no PostgreSQL server runs")
        return
    for (path, content), there in zip(files.items(), (now["ini"], now["unit"]), strict=True):
        if there != hashlib.sha256(content.encode()).hexdigest():
            differs(path, expected="the declared content", found="none" if there is None else "another")
    if not now["users"]:
        differs(unit, expected="the role's password as the server has it", found="another, or none")
    if not now["enabled"]:
        differs(unit, expected="starts at boot", found="does not")
    if now["due"] != "nothing":
        differs(unit, expected="runs as it is declared now", found=f"needs a {now['due']}")
