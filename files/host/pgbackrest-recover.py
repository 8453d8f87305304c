"""
Recover a cluster as it was at a moment, beside the running one, which is left alone; or remove that again.

usage: postgres-cluster.sh CLUSTER exists python3 -c ... begin|end SPEC

The recovered cluster runs as the unit hostwright-recovered, on a socket in its own directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pgbackrest_common import RefusedError, as_postgres, info, listed, must, pgbackrest, run

UNIT = "hostwright-recovered.service"
SPARE = 512 * 2**20  # bytes for what is replayed on top of a backup


def psql(sql: str, database: str, *where: str) -> subprocess.CompletedProcess[str]:
    program = f"{os.environ['CLUSTER_BIN']}/psql"
    return as_postgres(program, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database, *where, stdin=sql)


def window(backups: list[dict[str, Any]], now: int, last: int | None) -> tuple[int, int]:
    """
    Return the first and the last second that can be recovered.

    + backups: of pgbackrest's info
    + now: this second
    + last: when the newest change was archived; None where the running server archives up to now

    Raises RefusedError where there is no backup.
    """
    whole = [one["timestamp"]["stop"] for one in backups if not one.get("error")]
    if not whole:
        raise RefusedError("there is no backup yet, so no moment can be recovered")
    return min(whole), now if last is None else last


def said(second: float) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00:00")


def within(to: str, first: int, last: int) -> None:
    """Raise RefusedError for a moment that cannot be recovered."""
    if not first <= datetime.fromisoformat(to).timestamp() <= last:
        raise RefusedError(f"{to} cannot be recovered: from {said(first)} to {said(last)} every moment can")


def same_version(databases: list[dict[str, Any]], here: str) -> None:
    """Raise RefusedError where the backups are of a version whose programs this host does not run."""
    if databases and databases[-1]["version"] != here:
        raise RefusedError(
            f"the backups are of PostgreSQL {databases[-1]['version']}, and this host runs {here}; "
            "recover them on a host of that version, and bring a dump of it here"
        )


def archived_up_to_now(stanza: str) -> int | None:
    """Have the running server archive all it has; where it is down, return when the last archive came."""
    pid_file = Path(os.environ["CLUSTER_DATA"]) / "postmaster.pid"
    running = pid_file.exists() and Path(f"/proc/{pid_file.read_text().split()[0]}").exists()
    if not running:
        return newest_archive(stanza)
    lines = pid_file.read_text().splitlines()
    os.environ["PGPORT"], os.environ["PGHOST"] = lines[3], lines[4]
    # PostgreSQL refuses a moment after the last change that it finds, so there is one after each.
    time.sleep(1.1)
    mark = "select pg_logical_emit_message(true, 'hostwright', 'all before this can be recovered')"
    must(psql(mark, "postgres"), "the running server")
    must(pgbackrest(stanza, "check"), "the newest changes are not in the repository")
    return None


def newest_archive(stanza: str) -> int:
    return max(int(about["time"]) for about in listed(stanza, f"archive/{stanza}").values())


def begin(spec: dict[str, Any]) -> None:
    root, stanza = Path(spec["root"]), spec["stanza"]
    if root.exists():
        raise RefusedError(
            f"{root} has what was recovered before; look at it, and remove it with: recover.py --data end=1"
        )
    asked = int(time.time())
    about = info(stanza)
    same_version(about["db"], os.environ["CLUSTER_VERSION"])
    backups = about["backup"]
    if spec["gone"] and not backups:
        raise RefusedError(
            f"the repository has no backup under the name {stanza!r}; this lists the names: "
            "cd / && runuser -u postgres -- pgbackrest info"
        )
    first, last = window(backups, asked, None)
    within(spec["to"], first, last)
    newest = newest_archive(stanza) if spec["gone"] else archived_up_to_now(stanza)
    within(spec["to"], first, asked if newest is None else newest)
    needed = max(one["info"]["size"] for one in backups) + SPARE
    free = shutil.disk_usage(root.parent).free
    if free < needed:
        raise RefusedError(
            f"{root} needs {needed >> 20} MiB and its disk has {free >> 20} MiB; nothing was changed"
        )
    root.mkdir(mode=0o700)
    shutil.chown(root, "postgres", "postgres")
    try:
        restore(root, spec)
        start(root, spec)
        tell(root, spec)
    except BaseException:  # whatever it was, and an interruption too: half of a server helps nobody
        remove(root)
        raise


def restore(root: Path, spec: dict[str, Any]) -> None:
    must(
        pgbackrest(
            spec["stanza"], "--type=time", f"--target={spec['to']}",
            "--target-action=promote", "--archive-mode=off", f"--pg1-path={root}/data",
            # Without this the restored tablespaces would go where those of the running server are.
            f"--tablespace-map-all={root}/tablespaces", "restore",
        ),
        "pgbackrest restore",
    )  # fmt: skip
    for name, text in (
        ("postgresql.conf", "# What counts is on the command line.\n"),
        ("pg_hba.conf", "local all postgres peer\n"),
        ("pg_ident.conf", ""),
    ):
        place = root / name
        place.write_text(text)
        shutil.chown(place, "postgres", "postgres")


def options(root: Path, port: int) -> dict[str, str]:
    """Return what is given on the command line, where it wins over ALTER SYSTEM of the original."""
    return {
        "config_file": f"{root}/postgresql.conf", "hba_file": f"{root}/pg_hba.conf",
        "ident_file": f"{root}/pg_ident.conf", "port": str(port), "listen_addresses": "",
        "unix_socket_directories": str(root), "archive_mode": "off", "hot_standby": "off",
        "shared_preload_libraries": "", "shared_buffers": "64MB", "ssl": "off", "cluster_name": "recovered",
        "logging_collector": "off", "log_destination": "stderr", "external_pid_file": "",
    }  # fmt: skip


def start(root: Path, spec: dict[str, Any]) -> None:
    words = [part for key, value in options(root, spec["port"]).items() for part in ("-c", f"{key}={value}")]
    run("systemctl", "reset-failed", UNIT)  # there is none of that name, most times
    must(
        run(
            "systemd-run", "--quiet", f"--unit={UNIT}", "--property=User=postgres",
            "--property=KillSignal=SIGINT", "--property=KillMode=mixed",
            f"--description=PostgreSQL as it was at {spec['to']}",
            f"{os.environ['CLUSTER_BIN']}/postgres", "-D", f"{root}/data", *words,
        ),
        "systemd-run",
    )  # fmt: skip
    where = ("-h", str(root), "-p", str(spec["port"]))
    while True:
        done = psql("select pg_is_in_recovery()", "postgres", *where)
        if (done.returncode, done.stdout.strip()) == (0, "f"):
            return
        if run("systemctl", "is-active", UNIT).stdout.strip() not in ("active", "activating"):
            log = run("journalctl", "-q", "-o", "cat", "-n", "15", "-u", UNIT).stdout
            if "recovery ended before configured recovery target" in log:
                raise RefusedError(
                    f"{spec['to']} cannot be recovered: changes before it are missing in the repository, "
                    f"which took none for a while, or archiving was off. Choose an earlier one. Log:\n{log}"
                )
            raise RefusedError(f"the recovered server did not come up, and was removed. It said:\n{log}")
        time.sleep(0.3)


def tell(root: Path, spec: dict[str, Any]) -> None:
    """Check what was recovered, and say how to use it."""
    where = ("-h", str(root), "-p", str(spec["port"]))
    newest = must(
        psql("select extract(epoch from pg_last_xact_replay_timestamp())", "postgres", *where), "psql"
    )
    last = float(newest) if newest.strip() else None
    if last is not None and last > datetime.fromisoformat(spec["to"]).timestamp():
        raise RefusedError(f"it has a change of {said(last)}, after {spec['to']}; do not use it")
    names = must(
        psql("select datname from pg_database where datallowconn and not datistemplate", "postgres", *where),
        "psql",
    ).split("\n")
    print(f"as it was at {spec['to']}, the newest change of {said(last) if last else 'before the backup'}:")
    count = "select count(*) from pg_stat_user_tables"
    for name in filter(None, names):
        print(f"  {name}: {must(psql(count, name, *where), name).strip()} tables")
    print(f"look:   cd / && runuser -u postgres -- psql -h {root} -p {spec['port']} DATABASE")
    print(f"take:   cd / && runuser -u postgres -- pg_dump -Fc -h {root} -p {spec['port']} DATABASE >FILE")
    print("remove: recover.py --data end=1")


def end(spec: dict[str, Any]) -> None:
    root = Path(spec["root"])
    print(f"removed {root}" if root.exists() else "nothing was recovered here")
    remove(root)


def remove(root: Path) -> None:
    if run("systemctl", "is-active", UNIT).stdout.strip() in ("active", "activating"):
        must(run("systemctl", "stop", UNIT), "systemd")
    if root.exists():
        shutil.rmtree(root)


def main(verb: str, spec: str) -> int:
    try:
        {"begin": begin, "end": end}[verb](json.loads(spec))
    except RefusedError as problem:
        print(f"recovery: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
