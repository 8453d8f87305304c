"""
Put a PostgreSQL configuration file into place, make it count, and put the former one back if it fails.

usage: postgres-cluster.sh CLUSTER up python3 -c ... settings|hba FILE_NAME    the content on standard input
       postgres-cluster.sh CLUSTER exists python3 -c ... first FILE_NAME       settings of one that never ran

Every error leaves the server running with the configuration it had. Exits 0 only when the server itself
says that the new one is in effect.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CLUSTER = os.environ["CLUSTER"]
CONF = Path(os.environ["CLUSTER_CONF"])
BIN = os.environ["CLUSTER_BIN"]
LOG = Path("/var/log/postgresql") / f"postgresql-{CLUSTER.replace('/', '-')}.log"
INCLUDE = "include_dir = 'conf.d'"
# A restart includes a checkpoint and, after a crash, recovery: minutes on a busy, slow disk.
RESTART_SECONDS = 300


class RefusedError(Exception):
    """Something that the person who runs this has to read."""


def as_postgres(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["runuser", "-u", "postgres", "--", *argv], input=stdin, capture_output=True, text=True, check=False
    )


def query(sql: str) -> Any:
    """Run one query that gives one JSON value."""
    psql = [f"{BIN}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    done = as_postgres(*psql, stdin=sql)
    if done.returncode != 0:
        raise RefusedError(done.stderr.strip())
    return json.loads(done.stdout.strip() or "null")


def replace(path: Path, content: bytes, mode: int) -> None:
    """Write a whole file of postgres by rename: a reader or a power cut sees the old or the new one."""
    # What an earlier, interrupted write left behind.
    for left in path.parent.glob(f".{path.name}.*.dpkg-new"):
        left.unlink()
    # Names that start with a dot are not included from conf.d.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".dpkg-new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(handle, mode)
            shutil.chown(name, "postgres", "postgres")
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


class Former:
    """Files as they were, to be put back with their owner and mode."""

    def __init__(self, *paths: Path) -> None:
        self.files = {
            path: (path.read_bytes(), path.stat()) if path.exists() else None for path in dict.fromkeys(paths)
        }

    def put_back(self) -> None:
        for path, former in self.files.items():
            if former is None:
                path.unlink(missing_ok=True)
                continue
            content, stat = former
            if path.read_bytes() != content:
                replace(path, content, stat.st_mode & 0o7777)
                os.chown(path, stat.st_uid, stat.st_gid)
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def reload_and_wait() -> None:
    before = query("select extract(epoch from pg_conf_load_time())")
    query("select to_jsonb(pg_reload_conf())")
    deadline = time.monotonic() + 20
    while query("select extract(epoch from pg_conf_load_time())") == before:
        if time.monotonic() > deadline:
            raise RefusedError("the server did not load its configuration again within 20 s")
        time.sleep(0.05)


def restart() -> None:
    """Restart the cluster, through systemd where that runs it, and wait until it accepts connections."""
    version, name = CLUSTER.split("/", 1)
    log_size = LOG.stat().st_size if LOG.exists() else 0
    done = subprocess.run(
        ["pg_ctlcluster", version, name, "restart"],
        capture_output=True, text=True, timeout=RESTART_SECONDS, check=False,
    )  # fmt: skip
    deadline = time.monotonic() + (30 if done.returncode == 0 else 0)
    while as_postgres(f"{BIN}/pg_isready", "-q").returncode != 0:
        if time.monotonic() >= deadline:
            raise RefusedError(
                f"the server does not start with it: {done.stderr.strip()}\n{log_since(log_size)}"
            )
        time.sleep(0.1)
    refresh_whereabouts()


def refresh_whereabouts() -> None:
    lines = (Path(os.environ["CLUSTER_DATA"]) / "postmaster.pid").read_text().splitlines()
    os.environ["PGPORT"], os.environ["PGHOST"] = lines[3], lines[4] or os.environ["PGHOST"]


def log_since(position: int) -> str:
    if not LOG.exists():
        return ""
    with LOG.open("rb") as log:
        log.seek(position)
        lines = log.read().decode(errors="replace").splitlines()
    reasons = [line for line in lines if re.search(r"FATAL|ERROR|PANIC|HINT|DETAIL|postgres: ", line)]
    return "\n".join(reasons[-6:])


def expected_values(candidate: Path, names: list[str]) -> dict[str, str]:
    """Let the server's own program read the candidate; it refuses what it does not know or cannot take."""
    values = {}
    for name in names:
        done = as_postgres(
            f"{BIN}/postgres", "-C", name, "-D", os.environ["CLUSTER_DATA"], "-c", f"config_file={candidate}"
        )
        if done.returncode != 0:
            errors = done.stderr.replace(str(candidate), "the new file").strip()
            raise RefusedError(f"postgres refuses the new settings:\n{errors}")
        values[name] = done.stdout.rstrip("\n")
    return values


def with_include(main: Path) -> None:
    """Make postgresql.conf read conf.d."""
    content = main.read_text()
    if re.search(r"^[ \t]*include_dir[ \t]*=?[ \t]*'conf\.d/?'", content, re.MULTILINE) is None:
        replace(main, f"{content.rstrip()}\n\n{INCLUDE}\n".encode(), main.stat().st_mode & 0o7777)


def names_in(content: str) -> list[str]:
    return re.findall(r"^([A-Za-z_][\w.$]*) = ", content, re.MULTILINE)


def checked(path: Path, content: str) -> dict[str, str]:
    """Return the values that the content gives, with a place for it; nothing else is changed."""
    path.parent.mkdir(exist_ok=True)
    shutil.chown(path.parent, "postgres", "postgres")
    with tempfile.TemporaryDirectory(prefix="hostwright-") as scratch:
        shutil.chown(scratch, "postgres", "postgres")
        candidate = Path(scratch) / "postgresql.conf"
        replace(candidate, content.encode(), 0o644)
        return expected_values(candidate, names_in(content))


def first(file_name: str, content: str) -> None:
    """Put settings where the server finds them when it starts for the first time."""
    path = CONF / "conf.d" / file_name
    checked(path, content)
    replace(path, content.encode(), 0o644)
    with_include(CONF / "postgresql.conf")


def settings(file_name: str, content: str) -> None:
    path = CONF / "conf.d" / file_name
    main = CONF / "postgresql.conf"
    names = names_in(content)
    expected = checked(path, content)

    former = Former(path, main)
    running_without_it = False
    try:
        replace(path, content.encode(), 0o644)
        with_include(main)
        broken = query(
            "select json_agg(sourcefile || ':' || sourceline || ' ' || error) from pg_file_settings"
            " where error is not null and name is null and sourcefile is not null"
        )
        if broken:
            raise RefusedError("\n".join(broken))
        reload_and_wait()
        # Ours, and those that stand in no file any more: not what somebody else left pending.
        if query(
            "select to_json(exists (select from pg_settings s where pending_restart and (lower(name) = any("
            f"array(select lower(jsonb_array_elements_text('{json.dumps(names)}'))))"
            " or not exists (select from pg_file_settings f where lower(f.name) = lower(s.name)))))"
        ):
            running_without_it = True
            restart()
        in_effect(expected)
    except BaseException as problem:  # whatever it was, and an interruption too
        former.put_back()
        if running_without_it:
            restart()
        else:
            reload_and_wait()
        raise RefusedError(
            f"{problem}\nthe former settings are back in {path.parent} and in effect"
        ) from problem


def in_effect(expected: dict[str, str]) -> None:
    """Compare with what a new session sees, but for what a role or a database overrides for itself."""
    rows = query(
        "select json_object_agg(lower(name), setting) from pg_settings"
        " where source not in ('database', 'user', 'database user', 'client', 'session')"
    )
    for name, value in expected.items():
        # The settings of extensions have no unit and no canonical form before their library is loaded.
        if "." not in name and rows.get(name.lower(), value) != value:
            raise RefusedError(
                f"{name} is {rows[name.lower()]} and not {value}, although the file was loaded"
            )


def hba(file_name: str, content: str) -> None:
    path = Path(query("select to_json(current_setting('hba_file'))"))
    if path.name != file_name:
        raise RefusedError(
            f"hba_file is {path}; reset it to {path.parent / file_name}, which is what this writes"
        )
    former = Former(path)
    try:
        replace(path, content.encode(), 0o640)
        # The server reads the file in place for this view, but obeys it only after a reload.
        wrong = query(
            "select json_agg('line ' || line_number || ': ' || error order by line_number)"
            " from pg_hba_file_rules where error is not null"
        )
        if wrong:
            raise RefusedError("\n".join(wrong))
        reload_and_wait()
    except BaseException as problem:  # whatever it was, and an interruption too
        former.put_back()
        raise RefusedError(f"{problem}\nthe former rules are back in {path} and in effect") from problem


def main(kind: str, file_name: str) -> int:
    # Bytes: what arrives must be written, whatever the login's locale.
    content = sys.stdin.buffer.read().decode("utf-8")
    if not content.endswith("# end\n"):
        print("PostgreSQL: the content arrived incomplete; nothing was changed, run again", file=sys.stderr)
        return 1
    try:
        {"first": first, "settings": settings, "hba": hba}[kind](file_name, content)
    except RefusedError as problem:
        print(f"PostgreSQL {CLUSTER}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
