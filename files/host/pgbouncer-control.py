"""
Say how an app's connection pool stands, or bring it to what is declared, by a reload where that is enough.

usage: python3 -c ... state UNIT INI USERS ROLE      JSON on standard input: what the server keeps of the
       password of each role
       postgres-cluster.sh CLUSTER up python3 -c ... apply UNIT INI USERS ROLE      JSON on standard input:
       ini, unit, group and port

state prints JSON, without the role's verifier: only whether the pool's is the server's.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from started_files import changed_since

PROGRAM = "/usr/sbin/pgbouncer"
UNITS = Path("/etc/systemd/system")
# A pool that has not begun to listen after this never does; a busy host takes its time.
START_SECONDS = 15


class RefusedError(Exception):
    """Something that the person who runs this has to read."""


def call(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def must(*command: str) -> str:
    done = call(*command)
    if done.returncode != 0:
        raise RefusedError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def digest(path: str | Path) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def kept(role: str) -> str | None:
    """Ask the server what it keeps of a role's password."""
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-v", f"role={role}"]
    done = call(
        "setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
        f"{os.environ['CLUSTER_BIN']}/psql", *options,
        input="select rolpassword from pg_authid where rolname = :'role';",
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else None


def wanted_users(role: str, verifier: str | None) -> str:
    """Write pgbouncer's file of users: the role with the verifier that the server has of it."""
    if not (verifier or "").startswith("SCRAM-SHA-256$"):
        raise RefusedError(f"role {role} has no SCRAM password; the step that gives it one has to run before")
    quoted = role.replace('"', '""')
    return f'"{quoted}" "{verifier}"\n'


def version() -> str | None:
    if not Path(PROGRAM).exists():
        return None
    found = re.search(r"PgBouncer (\d+\.\d+)", call(PROGRAM, "-V").stdout)
    return found[1] if found else None


def started(unit: str) -> str:
    return f"/run/{unit.removesuffix('.service')}.started"


def due(unit: str, active: bool) -> str:
    """Say what makes a pool work by its files: "nothing", "reload" or "restart"."""
    changed = changed_since(started(unit))
    if not active or changed is None:
        return "restart"
    if not changed:
        return "nothing"
    # The unit names its port: another one needs a new socket.
    return "restart" if any(path.startswith(str(UNITS)) for path in changed) else "reload"


def owner(path: str) -> str:
    try:
        about = Path(path).stat()
    except FileNotFoundError:
        return ""
    return f"{about.st_uid} {about.st_gid} {about.st_mode & 0o7777:o}"


def state(unit: str, ini: str, users: str, role: str, verifier: str | None) -> dict[str, object]:
    shown = call("systemctl", "show", "-p", "ActiveState,UnitFileState", unit).stdout
    about = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    try:
        same = Path(users).read_text() == wanted_users(role, verifier)
    except (FileNotFoundError, RefusedError):
        same = False
    return {
        "version": version(),
        "ini": digest(ini),
        "unit": digest(UNITS / unit),
        "users": same and owner(users) == owner(ini),
        "enabled": about.get("UnitFileState") == "enabled",
        "due": due(unit, about.get("ActiveState") == "active"),
    }


def write(path: str | Path, content: str, group: int, mode: int) -> None:
    """Write a whole file of root by rename; leave one that is so already alone."""
    path = Path(path)
    if path.exists() and path.read_text() == content and owner(str(path)) == f"0 {group} {mode:o}":
        return
    import tempfile  # not for `state`, which every run asks

    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
            file.flush()
            os.fchown(handle, 0, group)
            os.fchmod(handle, mode)
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def validate(ini: str) -> None:
    """Let pgbouncer itself read the new file, by starting one that nobody can reach."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hostwright-") as scratch:
        Path(scratch).chmod(0o711)
        place = Path(scratch) / "try"
        place.mkdir()
        os.chown(place, 65534, 65534)
        candidate = place / "pgbouncer.ini"
        candidate.write_text(
            f"{ini}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {place}\nauth_file = {place}/users\n"
        )
        (place / "users").write_text("")
        for path in (candidate, place / "users"):
            path.chmod(0o644)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        process = subprocess.Popen(
            [*as_nobody, PROGRAM, str(candidate)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            while process.poll() is None and not list(place.glob(".s.PGSQL.*[0-9]")):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            works = process.poll() is None and list(place.glob(".s.PGSQL.*[0-9]"))
        finally:
            process.kill()
            said, _ = process.communicate()
        if not works:
            lines = [line for line in said.splitlines() if re.search(r"ERROR|FATAL|WARNING", line)]
            raise RefusedError("pgbouncer refuses the configuration:\n" + "\n".join(lines[-6:]))


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) == 0


def apply(unit: str, ini: str, users: str, role: str) -> None:
    given = json.load(sys.stdin)
    if version() is None:
        raise RefusedError("pgbouncer is not installed; the step that installs it has to run before")
    users_text = wanted_users(role, kept(role))
    # Asked before anything is written: the pool that runs may stay as it is.
    ours = (
        re.search(r"^listen_port = (\d+)$", Path(ini).read_text(), re.MULTILINE)
        if Path(ini).exists()
        else None
    )
    mine = ours is not None and int(ours[1]) == given["port"] and is_active(unit)
    if not mine and listens(given["port"]):
        raise RefusedError(f"port {given['port']} is taken by another program; `ss -tlnp` shows by which")
    if digest(ini) != hashlib.sha256(given["ini"].encode()).hexdigest():
        validate(given["ini"])
    group = grp.getgrnam(given["group"]).gr_gid
    write(users, users_text, group, 0o640)
    write(ini, given["ini"], group, 0o640)
    write(UNITS / unit, given["unit"], 0, 0o644)
    must("systemctl", "--quiet", "--no-reload", "enable", unit)
    must("systemctl", "daemon-reload")
    what = due(unit, is_active(unit))
    if what == "nothing":
        return
    done = call("systemctl", what, unit)
    deadline = time.monotonic() + START_SECONDS
    while done.returncode == 0 and not listens(given["port"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    if done.returncode != 0 or not listens(given["port"]):
        log = call("journalctl", "-u", unit, "-n", "10", "--no-pager", "-o", "cat").stdout
        raise RefusedError(f"{unit} does not {what}; the end of its log:\n{log}")
    print(f"{'reloaded' if what == 'reload' else 'started'} {unit}")


def is_active(unit: str) -> bool:
    return call("systemctl", "is-active", unit).stdout.strip() == "active"


def main(verb: str, unit: str, ini: str, users: str, role: str) -> int:
    if verb == "state":
        verifiers = json.loads(sys.stdin.read().strip() or "{}") or {}
        print(json.dumps(state(unit, ini, users, role, verifiers.get(role))))
        return 0
    try:
        apply(unit, ini, users, role)
    except RefusedError as problem:
        print(f"pool {unit}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
