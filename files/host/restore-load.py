# Fill a fresh database beside the live one, and compare what is in it with what was backed up.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-load.py SPEC
# SPEC is JSON: app, database, fresh, replaced, role, cluster, snapshot, stop (a program of the trial, with
# its arguments), and source: {"path": backup of this host}, {"upload": what was brought} or {} for none.
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

from restore_common import (
    READER,
    FailedError,
    clean,
    conninfo,
    count,
    environment,
    live,
    tool,
    write,
)
from restore_database import create, extensions
from restore_files import about
from restore_room import room, watched
from restore_sql import Plain
from restore_upload import contents, located

# Of 1.6 GB in 576 MB of files; a backup of ours says how large the database was.
UNPACKED = 4


class Source:
    """What the database is filled with; `tables` are the rows that it should have then, None if unknown."""

    def __init__(self, given):
        self.kind, self.path, self.tables, self.size, self.own = "empty", None, None, 0, False
        if "path" in given:
            found = about(given["path"])
            self.kind, self.path, self.own = "directory", given["path"] + "/dump", True
            self.tables, self.size = found["tables"], size_of(found)
        elif "upload" in given:
            found = located(given["upload"])
            self.kind, self.path = found["kind"], found["path"]
            if found["backup"]:
                self.tables, self.size, self.own = (
                    found["backup"]["tables"],
                    size_of(found["backup"]),
                    True,
                )
            elif self.kind == "sql":
                self.size = found["size"] * 3 // 2
        if self.path and self.kind != "sql":
            self.size = max(self.size, UNPACKED * weight(self.path))


def size_of(about):
    """Return how large the database was that a backup.json is about."""
    return about.get("database_bytes") or about.get("bytes") or 0


def weight(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(f"{where}/{name}") for where, _, names in os.walk(path) for name in names)


def session():
    """Return how many jobs restore, and the settings of their sessions."""
    jobs = max(1, min(4, os.cpu_count() or 1))
    with open("/proc/meminfo", encoding="utf-8") as file:
        available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) >> 10
    # Indexes are built in it, by each job; half of what is free stays free.
    memory = max(64, min(1024, available // 2 // jobs))
    more = {"maintenance_work_mem": f"{memory}MB", "synchronous_commit": "off", "lock_timeout": "0",
            "statement_timeout": "0"}  # fmt: skip
    if int(os.environ["CLUSTER_VERSION"]) >= 14:
        # What a killed run left at work ends by itself.
        more["client_connection_check_interval"] = "2s"
    return jobs, more


def fill(source, spec):
    jobs, more = session()
    if source.kind == "empty":
        return
    if source.kind == "sql":
        fill_plain(source, spec, {**more, "role": spec["role"]})
        return
    words = ["--exit-on-error", "-d", conninfo(spec["fresh"])]
    # A tar can only be read from its beginning to its end.
    words += [] if source.kind == "tar" else [f"--jobs={jobs}"]
    if not source.own:
        # Nobody's comment on an extension is worth a restore: only its owner may write it.
        kept = [line for line in contents(source.path) if " COMMENT - EXTENSION " not in line]
        list_file = f"{spec['snapshot']}/databases/{spec['fresh']}.list"
        write(list_file, "\n".join(kept) + "\n")
        words += ["--no-owner", "--no-privileges", f"--role={spec['role']}", f"--use-list={list_file}"]
    done = subprocess.run(
        [*READER, tool("pg_restore"), *words, source.path],
        capture_output=True, text=True, check=False, env=environment(**more),
    )  # fmt: skip
    if done.returncode != 0:
        raise FailedError(f"pg_restore stopped: {clean(done.stderr)}")


def fill_plain(source, spec, more):
    """Send a plain dump to psql, which may leave the database that it is in for no other."""
    key = os.urandom(16).hex()
    probe = subprocess.run(
        [*READER, tool("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
        input=f"\\restrict {key}\n\\unrestrict {key}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    process = subprocess.Popen(
        [*READER, tool("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", conninfo(spec["fresh"])],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(**more),
    )  # fmt: skip
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
    reader.start()
    try:
        if probe.returncode == 0:
            process.stdin.write(f"\\restrict {key}\n".encode())
        for line in Plain(source.path).lines():
            process.stdin.write(line)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has stopped at an error, which it has told
    process.wait()
    reader.join()
    if process.returncode != 0:
        raise FailedError(f"psql stopped: {clean(said[0].decode(errors='replace'))}")


def analyze(fresh):
    """Gather statistics and count all rows at the same time; return what was counted."""
    process = subprocess.Popen(
        ["runuser", "-u", "postgres", "--", tool("vacuumdb"), "--analyze-only", "--quiet",
         f"--jobs={session()[0]}", "-d", conninfo(fresh)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(lock_timeout="0"),
    )  # fmt: skip
    found = count(fresh)
    _, wrong = process.communicate()
    if process.returncode != 0:
        raise FailedError(f"ANALYZE failed: {clean(wrong)}")
    return found


def differences(wanted, found):
    """Return a line for each table that has other rows than were backed up."""
    return [
        f"{table}: {found.get(table, 'no')} rows, and {rows} were backed up"
        for table, rows in sorted(wanted.items())
        if found.get(table) != rows
    ]


def held(path):
    """Keep a backup from being pruned as long as this program runs."""
    try:
        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_SH)
    except FileNotFoundError:
        raise FailedError(f"{path} is gone: it was pruned meanwhile; choose another backup") from None


def load(spec):
    began = time.monotonic()
    if "path" in spec["source"]:
        held(spec["source"]["path"])
    source, now = Source(spec["source"]), live(spec["database"])
    if now is None:
        raise FailedError(f"there is no database {spec['database']!r} any more; run deploy.py first")
    room(source.size)
    note = {**{key: spec[key] for key in ("app", "database", "fresh", "replaced", "cluster", "stop")},
            "live": now["oid"], "new": None, "own": source.own, "loaded": False}  # fmt: skip
    path = f"{spec['snapshot']}/databases/{spec['database']}.json"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # First: from here on the undo of this run knows which database is which.
    write(path, json.dumps(note))
    note["new"] = create(now, spec["fresh"])
    write(path, json.dumps(note))
    if not source.own:
        extensions(spec["database"], spec["fresh"])
    with watched(spec["fresh"]):
        fill(source, spec)
    if source.own:
        extensions(spec["database"], spec["fresh"])
    filled = time.monotonic()
    if source.kind != "empty":
        found = analyze(spec["fresh"])
        wrong = differences(source.tables or {}, found)
        if wrong:
            raise FailedError("it does not have what was backed up: " + "; ".join(wrong))
        told = "as backed up" if source.tables is not None else "with nothing to compare them to"
        for table, rows in found.items():
            print(f"  {table}: {rows} rows")
        print(f"{spec['app']}: {sum(found.values())} rows in {len(found)} tables, {told}; filled in "
              f"{filled - began:.1f} s, analyzed and counted in "
              f"{time.monotonic() - filled:.1f} s")  # fmt: skip
    write(path, json.dumps({**note, "loaded": True}))


if __name__ == "__main__":
    os.umask(0o077)
    try:
        load(json.loads(sys.argv[1]))
    except FailedError as error:
        print(f"restore: {error}; the live database was not touched", file=sys.stderr)
        sys.exit(1)
