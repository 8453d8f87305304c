# Make one backup: written aside, read back to its end, and renamed only when it is whole and on the disk.
import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import time

from backup_common import (
    FailedError,
    Server,
    backups,
    free,
    make_root,
    need,
    newest_of,
    note,
    remove,
    say,
    size,
    stamp_of,
)
from backup_keep import prune
from backup_read import Reader, digest_of, open_inside, table_members
from backup_session import ABOUT, TABLES, Session, count, lock_tables
from whole_files import sync, write_whole

POLL = 0.1
JOBS = 2
BEGIN = "begin isolation level repeatable read read only;"
# Two jobs and the lightest compression: 19 s for 1.6 GB on two cores, where the default takes 109 s.
LIGHT = ("-Fd", f"-j{JOBS}", "-Z1")


class Backup:
    """One backup in the making."""

    def __init__(self, config):
        self.config, self.server = config, Server(config["cluster"])
        self.began = time.time()
        self.stamp = stamp_of(self.began)
        self.root = make_root(config)
        self.aside = f"{self.root}/.{self.stamp}.partial"
        self.progress = f"{self.root}/.progress.json"

    def tidy(self):
        """Remove what a killed one has left: it has no name under which anything would look for it."""
        for name in os.listdir(self.root):
            if name.startswith(".") and name.endswith((".partial", ".new", ".age")):
                path = f"{self.root}/{name}"
                remove(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
                say(f"removed {path}, which was not finished")

    def expected(self, about):
        """Return how many bytes it will have: as the one before, by the size of the database now and then."""
        found = backups(self.config)
        last = newest_of(found) if found else {}
        if last.get("database_bytes"):
            grown = about["database_bytes"] / last["database_bytes"]
            return int(last["bytes"] * max(1.0, grown) * 1.2)
        return int(about["table_bytes"] * 1.1)

    def make(self):
        """Return what backup.json of the new backup says."""
        if os.path.lexists(f"{self.root}/{self.stamp}"):
            raise FailedError(f"{self.root}/{self.stamp} is there already; wait a second and begin again")
        session = Session(self.server, self.config["database"])
        try:
            snapshot = session.ask(f"{BEGIN} {self.locks()} select pg_export_snapshot();")
            about = json.loads(session.ask(ABOUT))
            wanted = self.expected(about)
            need(self.root, wanted, f"a backup of database {self.config['database']}")
            os.mkdir(self.aside, 0o700)
            self.dumped(session, snapshot, about, wanted)
        finally:
            session.close()
        self.globals()
        return self.finished(about)

    # --- the dump

    def locks(self):
        """
        Return the statements that lock each table as pg_dump will, before there is a snapshot.

        To a snapshot that is older than a table's rewriting (ALTER COLUMN TYPE) the table is empty: count and
        dump would agree on no rows.
        """
        return lock_tables(json.loads(self.server.query(self.config["database"], TABLES)))

    def dumped(self, session, snapshot, about, wanted):
        """Dump, count and read back at the same time, and compare the three."""
        work = f"{self.aside}/work"
        os.mkdir(work, 0o700)
        os.chown(work, *owner_postgres())
        rows = json.loads(session.ask(TABLES))
        tables = {f"{schema}.{name}": (schema, name) for schema, name, _ in rows}
        quoted = {f"{schema}.{name}": text for schema, name, text in rows}
        # What was made since the others were locked.
        session.tell(lock_tables(rows))
        handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        reader = Reader(f"{work}/dump", written=False)
        dump = self.server.start(
            "pg_dump", *LIGHT, "--no-sync", f"--snapshot={snapshot}", "--lock-wait-timeout=60s",
            "-f", f"/proc/self/fd/{handle}/dump", "-d", self.config["database"],
            pass_fds=[handle], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(handle)
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        try:
            counting = pool.submit(count, session, quoted, about["ledger"])
            self.watch(dump, reader, wanted)
            counted, about["migrations"] = counting.result()
            members = reader.end()
        finally:
            reader.stop()
            end(dump)
            session.psql.kill()
            pool.shutdown()
        self.digests = {f"dump/{name}": member.digest.hexdigest() for name, member in members.items()}
        self.compare(f"{work}/dump", members, tables, counted)
        about["tables"] = counted
        os.rename(f"{work}/dump", f"{self.aside}/dump")
        os.rmdir(work)

    def watch(self, dump, reader, wanted):
        """Wait for pg_dump, which must leave the floor free and what is read back whole."""
        told = time.monotonic()
        while dump.poll() is None:
            time.sleep(POLL)
            reader.look()
            reader.failed()
            there, floor = free(self.root)
            if there < floor:
                raise FailedError(
                    f"only {size(there)} are left in {self.root}, where {size(floor)} must stay free: the "
                    f"backup was given up; it needs more than the {size(wanted)} that it was expected to"
                )
            if time.monotonic() - told > 1:
                told = time.monotonic()
                write_progress(self.progress, written(reader.directory), wanted, self.began)
        wrong = dump.stderr.read().decode(errors="replace").strip()
        if dump.returncode != 0:
            raise FailedError(f"pg_dump ended with {dump.returncode}: {wrong or 'it was killed'}")
        if wrong:
            say(wrong)

    def compare(self, dump, members, tables, counted):
        """Refuse a dump whose members are not all there, or have other rows than its snapshot."""
        listing = self.listing(dump)
        for table, name in table_members(listing, tables).items():
            if name not in members:
                raise FailedError(f"{dump}/{name}, the rows of {table}, is not there")
            if members[name].rows() != counted[table]:
                raise FailedError(
                    f"table {table} has {counted[table]} rows and its dump has {members[name].rows()}; "
                    "the backup was given up"
                )

    def listing(self, dump):
        handle = os.open(os.path.dirname(dump), os.O_RDONLY | os.O_DIRECTORY)
        place = f"/proc/self/fd/{handle}/dump"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        done = self.server.start("pg_restore", "--list", place, pass_fds=[handle], **pipes)
        os.close(handle)
        said, wrong = done.communicate()
        if done.returncode != 0:
            raise FailedError(f"pg_restore cannot read what pg_dump wrote: {wrong.strip()}")
        return said

    def globals(self):
        """Save roles and their verifiers, without which a new server would refuse what the dump grants."""
        with open(f"{self.aside}/globals.sql", "wb") as file:
            done = self.server.start("pg_dumpall", "--globals-only", stdout=file, stderr=subprocess.PIPE)
            _, wrong = done.communicate()
        with open(f"{self.aside}/globals.sql", "rb") as file:
            whole = file.read().rstrip().endswith(b"PostgreSQL database cluster dump complete\n--")
        if done.returncode != 0 or not whole:
            raise FailedError(
                f"pg_dumpall ended with {done.returncode}: {wrong.decode().strip() or 'not whole'}"
            )

    # --- the end

    def finished(self, about):
        """Make it root's, have all of it on the disk, and give it its name."""
        files, count = {}, 0
        for folder, _, names in os.walk(self.aside):
            os.chown(folder, 0, 0, follow_symlinks=False)
            os.chmod(folder, 0o700)
            for name in names:
                path = os.path.join(folder, name)
                inner = os.path.relpath(path, self.aside)
                # A compressed member was digested as it was read back.
                files[inner] = self.digests.get(inner) or digest_of(path)
                with open_inside(path) as file:
                    os.fchown(file.fileno(), 0, 0)
                    os.fchmod(file.fileno(), 0o600)
                    os.fsync(file.fileno())
                    count += os.fstat(file.fileno()).st_size
        made = {
            "app": self.config["app"], "database": self.config["database"], "made": int(self.began),
            "stamp": self.stamp, "server_version": about["server_version"], "release": release(self.config),
            "migrations": about["migrations"], "seconds": round(time.time() - self.began, 1),
            "bytes": count, "database_bytes": about["database_bytes"], "tables": about["tables"],
            "files": files,
        }  # fmt: skip
        write_whole(f"{self.aside}/backup.json", json.dumps(made, indent=1, sort_keys=True))
        sync(f"{self.aside}/dump")
        sync(self.aside)
        os.rename(self.aside, f"{self.root}/{self.stamp}")
        sync(self.root)
        return made


def owner_postgres():
    import pwd

    found = pwd.getpwnam("postgres")
    return found.pw_uid, found.pw_gid


def release(config):
    """Return the app's current release; None where there is none yet."""
    link = f"{config['app_root']}/current"
    return os.path.basename(os.readlink(link)) if os.path.islink(link) else None


def end(process):
    """End pg_dump and the processes of its jobs; they are a process group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


def written(directory):
    total = 0
    with contextlib.suppress(FileNotFoundError):
        for one in os.scandir(directory):
            total += one.stat(follow_symlinks=False).st_size
    return total


def write_progress(path, done, wanted, began):
    """Say how far it is, for `backup.py wait`; lost in a power cut, and nobody minds."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(json.dumps({"bytes": done, "of": wanted, "began": began}))
    os.rename(f"{path}.new", path)


def make(config):
    """Make a backup; note what came of it; prune."""
    one = Backup(config)
    began = int(one.began)
    # What a kill leaves standing there.
    note(config, last_attempt={"at": began, "ok": False, "why": "it is still being made, or was cut off"})
    try:
        one.tidy()
        try:
            made = one.make()
        finally:
            remove(one.aside)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(one.progress)
    except (FailedError, OSError) as error:
        note(config, last_attempt={"at": began, "ok": False, "why": str(error)})
        raise
    brief = {key: made[key] for key in ("stamp", "made", "bytes", "seconds", "server_version", "release")}
    brief |= {"tables": len(made["tables"]), "rows": sum(made["tables"].values())}
    note(config, newest=brief, last_attempt={"at": began, "ok": True, "why": ""})
    say(
        f"{config['app']}: backup {made['stamp']} of {config['database']}: {size(made['bytes'])}, "
        f"{brief['rows']} rows in {brief['tables']} tables, {made['seconds']} s"
    )
    prune(config, made["stamp"])
    return made
