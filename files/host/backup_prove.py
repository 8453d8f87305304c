# Prove the newest backup: every byte of it, restored into a database of its own, with the rows that it had.
import os
import re
import subprocess
import time

from backup_common import FailedError, Server, backups, need, newest_of, note, say, stamp_of, state
from backup_read import Reader, digest_of

# pg_restore runs as postgres, the only one whom the server lets in, and has to read what is root's alone.
AS_POSTGRES_READING_ALL = (
    "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--inh-caps=+dac_read_search",
    # Or access(2), by which pg_restore 16 and later find a file, would look without that capability.
    "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup", "--",
)  # fmt: skip
# Made as the one that was backed up is: its encoding and its locale.
CREATE = """
select format('create database %I template template0 encoding %L lc_collate %L lc_ctype %L', :'name',
    coalesce(pg_encoding_to_char(min(encoding)), 'UTF8'), coalesce(min(datcollate::text), 'C.UTF-8'),
    coalesce(min(datctype::text), 'C.UTF-8'))
from pg_database where datname = :'like' \\gexec
revoke all on database :"name" from public;
"""
# By the whole name: a schema's own may have a dot.
COUNT = """
select format('select count(*) from only %I.%I', nspname, relname)
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and nspname || '.' || relname = :'table' \\gexec
"""


def verify(place, about):
    """Compare every file of a backup with what backup.json says, and read every member to its end."""
    there = {
        os.path.relpath(os.path.join(folder, name), place)
        for folder, _, names in os.walk(place)
        for name in names
    } - {"backup.json"}
    if missing := sorted(set(about["files"]) - there):
        raise FailedError(f"{place}: {', '.join(missing[:3])} is missing")
    if more := sorted(there - set(about["files"])):
        raise FailedError(f"{place}: {', '.join(more[:3])} does not belong to it")
    reader = Reader(f"{place}/dump")
    try:
        members = reader.end()
    finally:
        reader.stop()
    for name, digest in about["files"].items():
        member = members.get(name.removeprefix("dump/")) if name.startswith("dump/") else None
        if (member.digest.hexdigest() if member is not None else digest_of(f"{place}/{name}")) != digest:
            raise FailedError(f"{place}/{name} is not what was written: its checksum differs")


def drop_left(server, database):
    """Drop what a killed proof has left."""
    listed = server.query("postgres", "select datname from pg_database where datname like '%proof%';")
    mine = re.compile(re.escape(scratch_name(database, "")) + r"[0-9]{8}T[0-9]{6}Z")
    for name in filter(mine.fullmatch, listed.splitlines()):
        drop(server, name)
        say(f"dropped {name}, which an earlier proof has left")


def scratch_name(database, stamp):
    # PostgreSQL cuts names at 63 bytes.
    return f"{database.encode()[: 63 - len('_proof_') - 16].decode(errors='ignore')}_proof_{stamp}"


def drop(server, name):
    server.query("postgres", 'drop database if exists :"name" with (force);', name=name)


def restore(server, place, name, like):
    """Restore a backup into a new database of this server; + like: the one that it is a backup of."""
    server.query("postgres", CREATE, name=name, like=like)
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    words = [*AS_POSTGRES_READING_ALL, f"{server.bin}/pg_restore", "-j2", "--exit-on-error", "-d", name]
    words += [f"/proc/self/fd/{handle}/dump"]
    done = subprocess.run(
        words,
        pass_fds=[handle],
        env=server.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(handle)
    if done.returncode != 0:
        raise FailedError(f"pg_restore ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def compare(server, name, tables):
    """Refuse a restored database whose tables have other rows than the backup says."""
    wrong = []
    for table, rows in sorted(tables.items()):
        found = server.query(name, COUNT, table=table)
        if found != str(rows):
            wrong.append(f"{table} has {found or 'no'} rows and had {rows}")
    if wrong:
        raise FailedError(f"restored, {'; '.join(wrong[:5])}")


def check(server, name, checks):
    """Ask the app's own questions of the restored database; each must be true."""
    for sql in checks:
        before = "set default_transaction_read_only = on; set search_path = pg_catalog, public;"
        said = server.query(name, f"{before} {sql.rstrip().rstrip(';')};")
        if said != "t":
            raise FailedError(f"restored, the check {sql!r} gives {said!r} and not true")


def prove(config):
    """Prove the newest backup, and note what came of it."""
    began = time.time()
    about = {"tables": {}, "stamp": None}
    try:
        server = Server(config["cluster"])
        drop_left(server, config["database"])
        found = backups(config)
        if not found:
            raise FailedError(f"{config['root']} has no backup to prove; make one: backup.py")
        stamp = (state(config).get("newest") or {}).get("stamp")
        about = newest_of(found)
        if stamp is not None and about["stamp"] < stamp <= stamp_of(began):
            raise FailedError(f"backup {stamp} was made, and is not there as a whole one any more")
        prove_one(config, server, about)
    except (FailedError, OSError) as error:
        _note(config, about, began, str(error))
        raise
    _note(config, about, began, "")
    say(
        f"{config['app']}: backup {about['stamp']} is proven: restored in {time.time() - began:.1f} s, "
        f"{sum(about['tables'].values())} rows in {len(about['tables'])} tables as they were"
    )


def prove_one(config, server, about):
    place = f"{config['root']}/{about['stamp']}"
    verify(place, about)
    wanted = int(about.get("database_bytes", about["bytes"] * 5) * 1.2)
    need(server.data, wanted, f"proving backup {about['stamp']}")
    name = scratch_name(config["database"], about["stamp"])
    try:
        restore(server, place, name, config["database"])
        compare(server, name, about["tables"])
        check(server, name, config["checks"])
    finally:
        server.wait()
        drop(server, name)


def _note(config, about, began, why):
    proof = {
        "stamp": about["stamp"], "at": int(began), "ok": not why, "why": why, "tables": len(about["tables"]),
        "seconds": round(time.time() - began, 1),
    }  # fmt: skip
    proven = {} if why else {"proven": {"stamp": about["stamp"], "at": int(began)}}
    note(config, proof=proof, **proven)
