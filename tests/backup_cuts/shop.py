"""A small database under write load on a lab host, its backups, and ways to cut one off."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass
from typing import Any

from lab import lifecycle
from tests.lab.playbook import LabHost, Result, run, shell, ssh

PROGRAM = "/usr/local/lib/hostwright/backup/backup.py"
ROOT = "/var/backups/shop"
UNIT = "hostwright-backup-shop.service"
PROOF = "hostwright-prove-shop.service"
PSQL = "cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1"
SCHEDULE = """
from operations import backups
from operations.backups import Backup
backups.scheduled(name="schedule", backups={backups})
"""
ONE = 'Backup("shop", database="shop", app_root="/opt/shop", checks=["SELECT count(*) > 2 FROM odd"]{more})'
# Rows with what COPY treats specially, an empty table, a table that nobody has read, names that need quotes.
SCHEMA = r"""
create role shop login;
create database shop owner shop;
\connect shop
create table orders (id bigserial primary key, note text not null, at timestamptz default now());
create index orders_note on orders (note);
create table "odd"(note text); create table "Od d"".x"(a int); create table empty (a int);
insert into odd values (E'one\ntwo'), (E'\\.'), (E'\\.\n\\.'), (null);
insert into "Od d"".x" select generate_series(1, 7);
create table acked (id bigint primary key);
create table schema_migrations (name text primary key, sha256 text);
insert into schema_migrations values ('001_initial', '0');
create function touch() returns trigger language plpgsql as 'begin new.at := now(); return new; end';
create trigger touch before update on orders for each row execute function touch();
create materialized view total as select count(*) from orders;
"""
FILL = "insert into orders (note) select md5(i::text) || md5((i + 1)::text) from generate_series(1, {rows}) i"
# One row a statement; what the server has acknowledged is written down outside of it.
WRITER = """
import subprocess, time
INSERT = "insert into acked select coalesce(max(id), 0) + 1 from acked returning id;"
words = "runuser -u postgres -- psql -XAtq -d shop".split()
psql = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
with open("/root/acked", "a", buffering=1) as acked:
    while True:
        print(INSERT, file=psql.stdin, flush=True)
        acked.write(psql.stdout.readline())
        time.sleep(0.002)
"""


def prepare(host: LabHost, *, rows: int) -> None:
    """Make the database and schedule its backups."""
    shell(host, PSQL, stdin=SCHEMA)
    shell(host, f"{PSQL} -d shop", stdin=FILL.format(rows=rows), timeout=240)
    schedule(host).ok()


def schedule(host: LabHost, more: str = "") -> Result:
    """Declare the backups, with more arguments."""
    return run(host, SCHEDULE.format(backups=f"[{ONE.format(more=more)}]"))


def write(host: LabHost) -> None:
    """Begin to write rows, in a unit that a power cut ends."""
    program = shlex.quote(WRITER)
    shell(host, f"systemd-run --quiet --collect --unit=writer python3 -c {program}")


def listed(host: LabHost) -> dict[str, Any]:
    """Return the backups that are listed as good, and the state."""
    found: dict[str, Any] = json.loads(shell(host, f"python3 -I {PROGRAM} list shop"))
    return found


def stamps(host: LabHost) -> list[str]:
    return [str(one["stamp"]) for one in listed(host)["backups"]]


def start(host: LabHost, unit: str = UNIT) -> int:
    """Run a unit to its end and return its exit code."""
    # A sixth start in ten seconds is refused by systemd otherwise, and nothing has run.
    return ssh(host, f"systemctl reset-failed {unit}; systemctl start {unit}", timeout=240).returncode


def lost(host: LabHost) -> tuple[int, int]:
    """Return how many rows were acknowledged, and how many of them are not in the database."""
    program = (
        "import subprocess\n"
        "said = [line for line in open('/root/acked').read().split('\\n') if line][:-1]\n"
        "words = 'runuser -u postgres -- psql -XAtq -d shop -c'.split() + ['select id from acked']\n"
        "done = subprocess.run(words, cwd='/', check=True, capture_output=True, text=True)\n"
        "there = set(done.stdout.split())\n"
        "print(len(said), len(set(said) - there))\n"
    )
    acknowledged, missing = shell(host, "python3 -", stdin=program).split()
    return int(acknowledged), int(missing)


@dataclass(frozen=True)
class Cut:
    """
    One way to cut a backup off.

    + how: "dump" and "program" (SIGKILL), "disk" (full all at once), "power"
    + part: of the time that a whole backup takes; None is the moment at which it gets its name, and counts
    """

    how: str
    part: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it: `new` where a backup is listed all the same, which must be proven then."""

    cut: Cut
    seconds: float | None
    new: bool
    proven: bool
    acknowledged: int
    lost: int
    why: str

    @property
    def good(self) -> bool:
        """Return whether nothing is listed that does not restore, and nothing was lost."""
        return self.lost == 0 and self.acknowledged > 0 and (self.proven or not self.new)


def cut(host: LabHost, how: Cut, whole: float) -> Outcome:
    """Cut one backup off, and look at what is left; `whole` is how long one takes."""
    before = stamps(host)
    moment = None if how.part is None else round(whole * how.part, 2)
    time.sleep(max(0.0, 1.1 - (moment or 0.0)))  # a second backup in the same second is refused
    wait = NAMED if moment is None else f"sleep {moment}"
    begin = f"last=$({NEWEST}); systemctl start --no-block {UNIT}; {wait}"
    if how.how == "power":
        shell(host, begin, timeout=120)
        lifecycle.kill(host.name)
        lifecycle.boot(host.name)
        ssh(host, "systemctl is-system-running --wait", timeout=90)
        write(host)
    else:
        shell(host, f"{begin}; {KNIVES[how.how]}", timeout=120)
    ssh(host, f"while systemctl is-active {UNIT} | grep -q activating; do sleep 0.1; done", timeout=120)
    if how.how == "disk":
        shell(host, f"rm -f {ROOT}/filler")
    found = listed(host)
    new = [one["stamp"] for one in found["backups"] if one["stamp"] not in before]
    proven = start(host, PROOF) == 0 if new else False
    acknowledged, missing = lost(host)
    attempt = found["state"].get("last_attempt") or {}
    why = str(attempt.get("why", "")).split(";")[0]
    if attempt.get("ok"):  # where nothing is new, that is of the backup before
        why = "it was whole before" if new else "it had not begun"
    return Outcome(how, moment, bool(new), proven, acknowledged, missing, why)


NEWEST = f"ls {ROOT} | grep ^2 | tail -n 1"
NAMED = f'for try in $(seq 5000); do [ "$({NEWEST})" = "$last" ] || break; done'
# pgrep sees the processes of the lab host alone.
KNIVES = {
    "dump": "pids=$(pgrep -x pg_dump) && kill -9 $pids; true",
    "program": f"systemctl kill --signal=KILL --kill-whom=main {UNIT}; true",
    "disk": f"fallocate -l $(df --output=avail -B1 {ROOT} | tail -n 1) {ROOT}/filler; true",
}


def mount_small(host: LabHost, megabytes: int) -> None:
    """Put a small file system of its own below the backups, in memory: a loop device may not be free."""
    shell(host, f"mkdir -p -m 0700 {ROOT} && mount -t tmpfs -o size={megabytes}M,mode=0700 small {ROOT}")


def unmount_small(host: LabHost) -> None:
    shell(host, f"umount {ROOT}")
