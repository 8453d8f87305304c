# Prints what of the recovery to a moment can be seen on the host. ABOUT: stanza, timers, port, repository.
# mypy: ignore-errors
from tests.acceptance.host.common import ABOUT, json, os, re, subprocess, sys, time

SEGMENT = re.compile(r"^(?P<line>[0-9A-F]{8})(?P<log>[0-9A-F]{8})(?P<part>[0-9A-F]{8})-")


def out(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        sys.exit(f"{argv}: {done.stderr or done.stdout}")
    return done.stdout


def as_postgres(*argv):
    return out("runuser", "-u", "postgres", "--", *argv)


def pgbackrest(*argv):
    return json.loads(as_postgres("pgbackrest", "--output=json", *argv))


def number(name, per_log):
    found = SEGMENT.match(name)
    return int(found["log"], 16) * per_log + int(found["part"], 16)


def missing(names, since, until, per_log):
    """Return which segments are not there between a backup's first and the one that is being written."""
    here = {number(name, per_log) for name in names}
    return sorted(set(range(number(f"{since}-", per_log), number(f"{until}-", per_log))) - here)


sql = """select json_build_object(
    'failed', coalesce(last_failed_time > last_archived_time, last_failed_time is not null),
    'archived', last_archived_time is not null,
    'waiting', (select count(*) from pg_ls_dir('pg_wal/archive_status') f where f like '%.ready'),
    'oldest', (select coalesce(extract(epoch from now() - min(
        (pg_stat_file('pg_wal/archive_status/' || f, true)).modification)), 0)
        from pg_ls_dir('pg_wal/archive_status') f where f like '%.ready'),
    'names', (select coalesce(json_agg(f), '[]')
        from pg_ls_dir('pg_wal/archive_status') f where f like '%.ready'),
    'current', pg_walfile_name(pg_current_wal_lsn()),
    'segment', (select setting::bigint from pg_settings where name = 'wal_segment_size'))
    from pg_stat_archiver"""
archiver = json.loads(as_postgres("psql", "-XqAt", "-p", str(ABOUT["port"]), "-d", "postgres", "-c", sql))
stanza = f"--stanza={ABOUT['stanza']}"
info = pgbackrest(stanza, "info")[0]
backups = [one for one in info["backup"] if not one.get("error")]
now = time.time()
ages = {
    kind: now - max((one["timestamp"]["stop"] for one in backups if kind in ("any", one["type"])), default=0)
    for kind in ("full", "any")
}
gaps = None
if backups:
    newest = max(backups, key=lambda one: one["timestamp"]["stop"])
    place = f"archive/{ABOUT['stanza']}/{info['archive'][-1]['id']}"
    listing = [path.rpartition("/")[2] for path in pgbackrest("--recurse", "repo-ls", place)]
    waiting = [name.replace(".ready", "-") for name in archiver["names"]]
    names = [name for name in [*listing, *waiting] if SEGMENT.match(name)]
    per_log = 2**32 // archiver["segment"]
    gaps = len(missing(names, newest["archive"]["start"], archiver["current"], per_log))
disk = os.statvfs(ABOUT["repository"]) if ABOUT["repository"] is not None else None
shown = {
    timer: out("systemctl", "show", "-P", "ActiveState", "-P", "UnitFileState", timer).split()
    for timer in ABOUT["timers"]
}
state = subprocess.run(
    ["systemctl", "is-active", "hostwright-recovery-full.service"], capture_output=True, text=True
)
print(
    json.dumps(
        {
            "archiver": archiver, "backups": len(backups), "ages": ages, "gaps": gaps, "timers": shown,
            "free": disk and disk.f_bavail / disk.f_blocks, "first": state.stdout.strip() == "activating",
        }
    )
)  # fmt: skip
