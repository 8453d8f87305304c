"""
Restores on a host where rec_io runs: every format, what is refused, the switch, and every way to be cut off.

The tests go on from what the one before left.
"""

from __future__ import annotations

import gzip
import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lab
from tests.lab.away import polled
from tests.lab.playbook import LabHost, run, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "deployed"
# The server of each image takes a backup and every dump; the rest is the verb, alike on each.
ANY_IMAGE = pytest.mark.images("bookworm")
STAMP = "20260201T000000Z"
PLACE = f"/var/backups/rec_io/{STAMP}"
TARGET_SECONDS = 2.0
SWITCHED = re.compile(r"stopped in .* later")
# As backups are made, in a few lines.
BACKUP = """
import hashlib, json, pathlib, subprocess, sys
stamp, database = sys.argv[1:]
place = pathlib.Path("/var/backups/rec_io") / stamp
subprocess.run(["rm", "-rf", str(place)], check=True)
place.mkdir(parents=True)
postgres = ["runuser", "-u", "postgres", "--"]
scratch = "/var/lib/postgresql/dump-" + stamp
subprocess.run([*postgres, "pg_dump", "-Fd", "-j2", "-Z1", "-f", scratch, database], check=True, cwd="/")
subprocess.run(["mv", scratch, str(place / "dump")], check=True)
subprocess.run(["chown", "-R", "root:root", str(place)], check=True)
COUNT = r'''select format('select %L, count(*) from %I.%I', schemaname || '.' || tablename, schemaname,
tablename) from pg_tables where schemaname = 'public' \\gexec'''
tables = subprocess.run([*postgres, "psql", "-XAtq", database], input=COUNT,
    capture_output=True, text=True, check=True, cwd="/").stdout.split()
files = {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
         for path in place.rglob("*") if path.is_file()}
(place / "backup.json").write_text(json.dumps({
    "app": "rec_io", "database": database, "stamp": stamp, "made": stamp, "server_version": "15.0",
    "release": "r", "migrations": [], "seconds": 1.0, "bytes": 10_000_000, "files": files,
    "tables": {name: int(rows) for name, rows in (line.split("|") for line in tables)}}))
"""


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A host with a row that is backed up, and one that came later."""
    result = Deployed(lab_host, "root", copy(tmp_path_factory.mktemp("clone")))
    sql(lab_host, "set role rec_io_db_owner;"
        "create table kept (id int primary key, at timestamptz not null default now());"
        "insert into kept values (1, '2026-01-31');"
        # In a time zone that is half a day ahead: only the second is of after the backup.
        "create table noted (at timestamp);"
        "insert into noted values ('2026-02-01 12:00'), ('2026-02-01 14:00');"
        "reset role; alter database rec_io_db set timezone = 'Pacific/Auckland';"
        "create role reader; grant connect on database rec_io_db to reader; grant select on kept to reader;"
        "alter database rec_io_db set work_mem = '6MB'")  # fmt: skip
    # The host's own first backup is newer than the one that is made here.
    shell(lab_host, "rm -rf /var/backups/rec_io/2*")
    frozen(lab_host)
    sql(lab_host, "insert into kept values (2)")
    declared = result.project / "group_data" / "all.py"
    declared.write_text(
        declared.read_text().replace('"time_columns": {', '"time_columns": {"kept": "at", "noted": "at", ')
    )
    return result


def frozen(host: LabHost, stamp: str = STAMP) -> None:
    """Back up the database as it is, from a copy that nobody writes to."""
    again = "dropdb --if-exists --force frozen && createdb frozen && pg_dump rec_io_db | psql -Xq frozen"
    shell(host, f"cd / && runuser -u postgres -- sh -c '{again}' >/dev/null")
    shell(host, f"python3 - {stamp} frozen", stdin=BACKUP)
    shell(host, "cd / && runuser -u postgres -- dropdb frozen")


def sql(host: LabHost, statement: str, database: str = "rec_io_db") -> str:
    return shell(
        host, f"cd / && runuser -u postgres -- psql -XAtqv ON_ERROR_STOP=1 -d {database}", stdin=statement
    )


def restore(deployed: Deployed, *data: str) -> tuple[int, str]:
    """Run restore.py to its end with these --data."""
    words = [word for one in ("app=rec_io", *data) for word in ("--data", one)]
    process = deployed.start("-y", *words, verb="restore.py")
    assert process.stdin is not None
    stdout, stderr = process.communicate("", timeout=300)
    return process.returncode, stdout + stderr


def databases(host: LabHost) -> dict[str, str]:
    """Return the name of each of the app's databases and its oid."""
    found = sql(host, "select datname, oid from pg_database where datname like 'rec\\_io%'", "postgres")
    return dict(line.split("|") for line in found.splitlines())


def kept_rows(host: LabHost) -> str:
    return sql(host, "select string_agg(id::text, ',' order by id) from kept")


def well(host: LabHost, seconds: float = 240) -> None:
    """Wait until all services run and nothing is on trial any more."""
    deadline = time.monotonic() + seconds
    while True:
        done = ssh(host, f"{STATUS}; ls -d /var/lib/hostwright/trial")
        if done.stdout.count("RUNNING") == 12 and "hostwright/trial" not in done.stdout:
            return
        assert time.monotonic() < deadline, done.stdout
        time.sleep(0.5)


def test_a_backup_takes_the_place_of_the_database(deployed: Deployed) -> None:
    host, before = deployed.host, databases(deployed.host)
    with polled(host) as answered:
        code, said = restore(deployed, f"from={STAMP}", "yes=1")
    assert code == 0, said
    assert "would be lost: kept: 1 rows are newer" in said
    assert "would be lost: noted: 1 rows are newer, the last of 2026-02-01 01:00:00 UTC" in said
    assert "as backed up" in said
    assert kept_rows(host) == "1"
    after = databases(host)
    replaced = [name for name in after if "_replaced_" in name]
    assert [after[name] for name in replaced] == [before["rec_io_db"]]
    assert sql(host, "select count(*) from kept", replaced[0]) == "2"
    assert set(after) == {"rec_io_db", *replaced}
    # What belongs to the database and not to what is in it, and what is in it, are as they were.
    assert sql(host, "show work_mem") == "6MB"
    assert sql(host, "select has_database_privilege('reader', 'rec_io_db', 'connect'), "
               "has_table_privilege('reader', 'kept', 'select')") == "t|t"  # fmt: skip
    assert sql(host, "select count(*) from aclexplode((select datacl from pg_database where "
               "datname = 'rec_io_db')) where grantee = 0") == "0"  # fmt: skip
    assert (
        sql(host, "select pg_get_userbyid(relowner) from pg_class where relname = 'kept'")
        == "rec_io_db_owner"
    )
    assert sql(host, "select last_analyze is not null from pg_stat_user_tables where relname = 'kept'") == "t"
    gap = max(later - earlier for earlier, later in itertools.pairwise(answered))
    print(f"{host.image}: the page was away for {gap:.2f} s; {SWITCHED.findall(said)}")
    # How long twelve services take to stop and start is told above; what the database adds to it is this.
    renamed = re.search(r"renamed in ([\d.]+) s", said)
    assert renamed is not None
    assert float(renamed[1]) < TARGET_SECONDS
    assert ssh(host, "ls /run/hostwright/lock").stdout == ""


@ANY_IMAGE
def test_a_second_one_in_a_row_and_the_deploy_after_it(deployed: Deployed) -> None:
    # It waits until somebody holds the backup, as whoever prunes would find it.
    free = f"while flock --nonblock --exclusive {PLACE} true; do sleep 0.05; done"
    shell(deployed.host, f"systemd-run --quiet --unit=until-held sh -c '{free}'")
    code, said = restore(deployed, "from=newest", "yes=1")
    assert code == 0, said
    assert ssh(deployed.host, "systemctl is-active until-held").stdout == "inactive\n"
    names = sorted(databases(deployed.host))
    assert len([name for name in names if "_replaced_" in name]) == 2
    process = deployed.start("-y", verb="history.py")
    shown, _ = process.communicate("", timeout=600)
    assert all(name in shown for name in names if "_replaced_" in name)
    assert deployed.changed() == []
    code, said = restore(deployed, f"prune={names[1]}")
    assert code == 0, said
    assert sorted(databases(deployed.host)) == [names[0], names[2]]


# What is asked for, what was done to the backup, and what is said; more of them are in the unit tests.
REFUSED: dict[str, list[tuple[tuple[str, ...], str, str]]] = {
    "bookworm": [
        ((), "", f"what is it to be.*{STAMP}"),
        ((f"from={STAMP}",), "", "nobody is there to ask"),
        ((f"from={STAMP}", "yes=1"), f"truncate -s -1 {PLACE}/dump/toc.dat", "its checksum differs"),
    ],
    "trixie": [
        ((f"from={STAMP}", "yes=1"), f"sed -i s/15.0/19.1/ {PLACE}/backup.json", "PostgreSQL 19"),
        # This one is found out once it is filled: what was filled is dropped.
        (
            (f"from={STAMP}", "yes=1"),
            f"sed -i 's/public.kept\": 1/public.kept\": 7/' {PLACE}/backup.json",
            "public.kept: 1 rows, and 7 were backed up.*was not touched",
        ),
    ],
}


def test_what_is_refused_before_anything_is_touched(deployed: Deployed) -> None:
    host = deployed.host
    before = databases(host), shell(host, f"{STATUS} | awk '{{print $1, $4}}'")
    for data, damage, says in REFUSED[host.image]:
        shell(host, f"cp -a {PLACE} /var/backups/aside; {damage}")
        try:
            code, said = restore(deployed, *data)
        finally:
            shell(host, f"rm -rf {PLACE}; mv /var/backups/aside {PLACE}")
        assert code == 1, said
        assert re.search(says, said, re.DOTALL), said
        assert "hostwright/trial" not in ssh(host, "ls -d /var/lib/hostwright/trial*").stdout
    assert (databases(host), shell(host, f"{STATUS} | awk '{{print $1, $4}}'")) == before


FORMATS = """
import json
from pathlib import Path
from operations import restore, upload
for number, path in enumerate({paths!r}):
    restore.brought("rec_io", name="bring " + Path(path).name, path=path, _ignore_errors=True)
    arrived = upload.place("rec_io-restore", restore.digest(Path(path)))
    if {load!r}:
        restore.loaded(
            "rec_io", name="load " + Path(path).name, database="rec_io_db", role="rec_io_db_owner",
            stamp="20260101t0000%02dz" % number, source={{"upload": arrived}},
            snapshot=lambda: "/var/lib/hostwright/snapshots/formats", stop=[],
        )
"""


def test_every_format_from_elsewhere(deployed: Deployed, tmp_path: Path) -> None:
    host = deployed.host
    good = dumps(host, tmp_path)
    shell(host, "mkdir -p /var/lib/hostwright/snapshots/formats")
    done = run(host, FORMATS.format(paths=[str(path) for path in good], load=True)).ok()
    assert len([name for name in done.changed if name.startswith("load ")]) == len(good)
    rows = sql(host, "select count(*) from schema_migrations")
    for number in range(len(good)):
        name = f"rec_io_db_restore_20260101t0000{number:02}z"
        assert sql(host, "select count(*) from schema_migrations", name) == rows
        # As the live one's owner has it, whoever had it where it comes from.
        # What an extension brought is its own.
        found = (
            "select string_agg(distinct pg_get_userbyid(relowner), ',') from pg_class c "
            "where relnamespace = 'public'::regnamespace "
            "and not exists (select from pg_depend where objid = c.oid and deptype = 'e')"
        )
        assert sql(host, found, name) == "rec_io_db_owner"
        sql(host, f"drop database {name}", "postgres")
    # Each of them cut in the middle, and what is none.
    bad = [tmp_path / f"cut-{path.name}" for path in good]
    for whole, part in zip(good, bad, strict=True):
        part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    (tmp_path / "other.sql").write_text(f"\\connect rec_io_db\n{(tmp_path / 'plain.sql').read_text()}")
    bad.append(tmp_path / "other.sql")
    before = databases(host)
    done = run(host, FORMATS.format(paths=[str(path) for path in bad], load=False))
    assert not done.changed, done.output
    assert done.output.count("nothing was touched") == len(bad), done.output
    assert databases(host) == before
    shell(host, "rm -r /var/lib/hostwright/snapshots/formats")


def dumps(host: LabHost, place: Path) -> list[Path]:
    """Dump the database of the host in every format onto this machine."""
    made = {"custom.dump": "-Fc", "plain.sql": "-Fp", "tar.tar": "-Ft"}
    command = lab.find(host.name).ssh
    for name, option in made.items():
        with (place / name).open("wb") as file:
            words = command(f"cd / && runuser -u postgres -- pg_dump {option} rec_io_db")
            subprocess.run(words, stdout=file, check=True)
    (place / "packed.sql.gz").write_bytes(gzip.compress((place / "plain.sql").read_bytes()))
    with (place / "directory.tar").open("wb") as file:
        subprocess.run(command(f"tar -C {PLACE} -cf - dump"), stdout=file, check=True)
    return [place / name for name in (*made, "packed.sql.gz", "directory.tar")]


@ANY_IMAGE
def test_an_older_backup_gets_the_migrations_that_it_lacks(deployed: Deployed) -> None:
    host = deployed.host
    last = sql(host, "select max(name) from schema_migrations")
    table = sql(host, "select max(relname) from pg_class where relname = 'trade_event'")
    again = "dropdb --if-exists --force frozen && createdb frozen && pg_dump rec_io_db | psql -Xq frozen"
    shell(host, f"cd / && runuser -u postgres -- sh -c '{again}' >/dev/null")
    sql(
        host,
        f"drop table {table} cascade; drop function record_trade_event, trade_pnl_cents cascade; "
        f"delete from schema_migrations where name = '{last}'",
        "frozen",
    )
    older = "20260101T000000Z"
    shell(host, f"python3 - {older} frozen", stdin=BACKUP)
    sql(host, "drop database frozen", "postgres")
    hba = shell(host, "cat /etc/postgresql/*/main/pg_hba.conf")
    code, said = restore(deployed, f"from={older}", "yes=1")
    assert code == 0, said
    assert sql(host, "select max(name) from schema_migrations") == last
    assert (
        sql(host, f"select pg_get_userbyid(relowner) from pg_class where relname = '{table}'")
        == "rec_io_db_owner"
    )
    assert shell(host, "cat /etc/postgresql/*/main/pg_hba.conf") == hba
    shell(host, f"rm -r /var/backups/rec_io/{older}")


@ANY_IMAGE
def test_a_gate_that_fails_switches_back(deployed: Deployed) -> None:
    """What is whole as a database and nothing for the app: its tables are not there."""
    host = deployed.host
    before, rows = databases(host), sql(host, "select count(*) from trades")
    shell(host, "cd / && runuser -u postgres -- createdb frozen")
    sql(host, "create table schema_migrations (name text, sha256 text);", "frozen")
    ledger = sql(host, "select format('insert into schema_migrations values (%L, %L);', name, sha256) "
                 "from schema_migrations")  # fmt: skip
    sql(host, ledger, "frozen")
    shell(host, "python3 - 20260202T000000Z frozen", stdin=BACKUP)
    sql(host, "drop database frozen", "postgres")
    # The whole of the time that each gate has would be waited for.
    gates = "/opt/rec_io/current/gates.json"
    shell(host, f'cp -a {gates} /root/; sed -i \'s/"seconds": 30/"seconds": 10/\' {gates}')
    try:
        code, said = restore(deployed, "from=20260202T000000Z", "yes=1")
    finally:
        shell(host, f"cp -a /root/gates.json {gates}")
    assert code == 1, said
    assert "is database rec_io_db again" in said
    after = databases(host)
    assert after["rec_io_db"] == before["rec_io_db"]
    assert [name for name in after if "_restore_" in name], after
    assert int(sql(host, "select count(*) from trades")) >= int(rows)
    well(host)
    shell(host, "rm -r /var/backups/rec_io/20260202T000000Z")


RENAME = "rename(client, os.environ, [(live, replaced), (fresh, live)])\n"


@contextmanager
def waiting(deployed: Deployed, when: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a restore that waits right before or right after the rename."""
    program = deployed.project / "files" / "host" / "restore-switch.py"
    text = program.read_text()
    wait = 'subprocess.run(["sleep", "97"], check=True)'
    assert RENAME in text
    indent = re.search(rf"( *){re.escape(RENAME)}", text)
    assert indent is not None
    order = [wait, RENAME.strip()] if when == "before" else [RENAME.strip(), wait]
    program.write_text(text.replace(RENAME, f"\n{indent[1]}".join(order) + "\n"))
    words = ("--data", "app=rec_io", "--data", f"from={STAMP}", "--data", "yes=1")
    process = deployed.start("-y", *words, verb="restore.py")
    try:
        deadline = time.monotonic() + 240
        while "sleep 97" not in ssh(deployed.host, "ps -eo args").stdout:
            assert time.monotonic() < deadline, process.communicate()
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        yield process
    finally:
        program.write_text(text)
        process.kill()
        process.communicate()


CUTS = {
    "bookworm": [("before", "kill"), ("after", "power")],
    "trixie": [("after", "kill"), ("before", "power")],
}


@ANY_IMAGE
@pytest.mark.parametrize("turn", [0, 1])
def test_cut_off_around_the_rename(deployed: Deployed, turn: int) -> None:
    host = deployed.host
    when, how = CUTS[host.image][turn]
    before = databases(host)
    sql(host, f"insert into kept values ({100 + turn})")
    rows = kept_rows(host)
    with waiting(deployed, when) as process:
        # It was renamed by then, or not yet.
        assert (databases(host)["rec_io_db"] == before["rec_io_db"]) == (when == "before")
        process.kill()
        if how == "power":
            lab.kill(host.name)
            lab.boot(host.name)
    well(host, 90)
    after = databases(host)
    assert {name: after[name] for name in before} == before
    assert kept_rows(host) == rows
    assert "undone" in shell(host, "tail -n 1 /var/log/hostwright/ledger.jsonl")
    for name in after.keys() - before.keys():
        sql(host, f"drop database {name}", "postgres")
