"""
Bring pgBackRest on a host to what is declared, or tell how it differs.

usage: postgres-cluster.sh CLUSTER up python3 -c ... configured|archiving|absent ask|apply DECLARED

`ask` prints {"differs": [...]} and changes nothing; `apply` does what `ask` would name, and says so.
"""

from __future__ import annotations

import grp
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pgbackrest_common import PGBACKREST, RefusedError, as_postgres, info, listed, must, pgbackrest, run

FULL = "hostwright-recovery-full.service"
NOTHING_TO_PUSH = 43  # its ParamRequiredError
NOTHING = "nothing is archived"
SECRET = re.compile("@SECRET ([^@]+)@")
SEGMENT = r"[0-9A-F]{24}(-|\.ready$)"
SEGMENTS = """select json_build_object(
    'size', (select setting::bigint from pg_settings where name = 'wal_segment_size'),
    'current', pg_walfile_name(pg_current_wal_lsn()),
    'ready', (select coalesce(json_agg(f), '[]') from pg_ls_dir('pg_wal/archive_status') f
        where f like '%.ready'))"""


def query(sql: str) -> Any:
    """Run one query that gives one JSON value."""
    psql = [f"{os.environ['CLUSTER_BIN']}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
    return json.loads(must(as_postgres(*psql, stdin=sql), "PostgreSQL"))


def filled(text: str) -> str:
    """Put the cluster's whereabouts, and the secrets that are kept on this host, into a declared text."""
    for word, variable in (
        ("@DATA@", "CLUSTER_DATA"), ("@CONF@", "CLUSTER_CONF"), ("@PORT@", "PGPORT"), ("@SOCKET@", "PGHOST"),
    ):  # fmt: skip
        text = text.replace(word, os.environ[variable])
    return SECRET.sub(lambda found: Path(found[1]).read_text(encoding="utf-8"), text)


def shape(path: Path) -> tuple[int, int, int]:
    """Return whose a file is, and its mode: postgres reads the configuration, which may have secrets."""
    return (0, grp.getgrnam("postgres").gr_gid, 0o640) if path.suffix == ".conf" else (0, 0, 0o644)


def own(handle: int, path: Path) -> None:
    """Give an open file the owner and mode that the path's file has."""
    user, group, mode = shape(path)
    os.fchown(handle, user, group)
    os.fchmod(handle, mode)


def as_declared(path: Path, text: str) -> bool:
    if not path.is_file():
        return False
    stat = path.stat()
    return (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == shape(path) and path.read_text() == text


def on(timer: str) -> bool:
    words = run("systemctl", "show", "-P", "ActiveState", "-P", "UnitFileState", timer).stdout.split()
    return words == ["active", "enabled"]


def has_stanza(databases: list[dict[str, Any]], system: int, version: str) -> bool:
    """Say whether the stanza is there; raise RefusedError where it is of another cluster."""
    if not databases:
        return False
    last = databases[-1]
    if (int(last["system-id"]), last["version"]) != (system, version):
        raise RefusedError(
            f"the repository has backups of another cluster under this name (PostgreSQL {last['version']}, "
            f"system {last['system-id']}; this one is {version}, {system}). Switch it off, then on "
            "again with another 'stanza', after an upgrade of PostgreSQL too; nothing of it was changed"
        )
    return True


def prepared(stanza: str) -> bool:
    about = query(
        "select json_build_object('system', system_identifier::text, 'version',"
        " current_setting('server_version_num')::int / 10000) from pg_control_system()"
    )
    return has_stanza(info(stanza)["db"], int(about["system"]), str(about["version"]))


def make_repository(place: Path) -> None:
    if not place.is_dir():
        place.mkdir(parents=True, mode=0o750)
        shutil.chown(place, "postgres", "postgres")


class Configured:
    """The configuration, the units and the stanza."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.declared = declared
        self.texts = {Path(path): text for path, text in declared["files"].items()}
        self.lacks = [name for text in self.texts.values() for name in SECRET.findall(text)
                      if not Path(name).is_file()]  # fmt: skip
        self.files = {} if self.lacks else {path: filled(text) for path, text in self.texts.items()}

    def differs(self) -> list[str]:
        if self.lacks:  # an operation before this one is about to write them
            return self.lacks
        found = [str(path) for path, text in self.files.items() if not as_declared(path, text)]
        found += [timer for timer in self.declared["timers"] if not on(timer)]
        if not found and not prepared(self.declared["stanza"]):
            found.append("there is no stanza")
        return found

    def apply(self) -> None:
        if self.lacks:
            raise RefusedError(f"{', '.join(self.lacks)} are not there; nothing was changed")
        if self.declared["repository"] is not None:
            make_repository(Path(self.declared["repository"]))
        config = Path(self.declared["config"])
        config.parent.mkdir(exist_ok=True)
        config.parent.chmod(0o755)
        self.check(config)
        for path, text in self.files.items():
            if not as_declared(path, text):
                replace(path, text)
        must(run("systemctl", "enable", "--no-reload", "--quiet", *self.declared["timers"]), "systemd")
        must(run("systemctl", "daemon-reload"), "systemd")
        # A timer that runs already took its old time with it.
        must(run("systemctl", "restart", *self.declared["timers"]), "systemd")
        if not prepared(self.declared["stanza"]):
            must(pgbackrest(self.declared["stanza"], "stanza-create"), "pgbackrest stanza-create")
        if query("select to_json(current_setting('archive_mode') <> 'off')"):
            must(pgbackrest(self.declared["stanza"], "check"), "pgbackrest check")

    def check(self, config: Path) -> None:
        """Have pgbackrest read the configuration before it counts; an unknown word is a mere warning."""
        with tempfile.NamedTemporaryFile("w", dir=config.parent, prefix=".check-") as candidate:
            candidate.write(self.files[config])
            candidate.flush()
            own(candidate.fileno(), config)
            # It reads of a configuration what its command needs; without a file to push it then stops.
            done = pgbackrest(self.declared["stanza"], f"--config={candidate.name}", "archive-push")
        said = done.stdout + done.stderr
        if done.returncode != NOTHING_TO_PUSH or "WARN: configuration file contains" in said:
            raise RefusedError(f"pgbackrest refuses the configuration, nothing was changed: {said.strip()}")


def missing(names: list[str], since: str, server: dict[str, Any]) -> int:
    """
    Count the segments that an archive lacks between a backup's first one and the one that is being written.

    + names: of the archive's files, each a segment's 24 digits and a checksum
    + since: the backup's first segment
    + server: "size" of a segment, "current" is being written, "ready" wait to be archived
    """
    size = server["size"]

    def number(name: str) -> int:
        return int(name[8:16], 16) * (2**32 // size) + int(name[16:24], 16)

    here = {number(name) for name in [*names, *server["ready"]] if re.match(SEGMENT, name)}
    return len(set(range(number(since), number(server["current"]))) - here)


class Archiving:
    """Changes reach the repository, and there is a backup that they can be put on top of."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.stanza = declared["stanza"]

    def differs(self) -> list[str]:
        found = []
        if not query("select to_json(last_archived_time is not null) from pg_stat_archiver"):
            found.append(NOTHING)
        about = info(self.stanza)
        if not about["backup"]:
            found.append("there is no backup")
        elif self.lost(about):
            # Thrown away by a full queue, or while archiving was switched off.
            found.append("changes are missing since the newest backup")
        return [word for word in found if word == NOTHING or not self.busy()]

    def lost(self, about: dict[str, Any]) -> int:
        server = query(SEGMENTS)  # before the listing: what is archived meanwhile is in it then
        newest = max(about["backup"], key=lambda one: one["timestamp"]["stop"])
        place = f"archive/{self.stanza}/{about['archive'][-1]['id']}"
        names = [path.rpartition("/")[2] for path in listed(self.stanza, place)]
        return missing(names, newest["archive"]["start"], server)

    def busy(self) -> bool:
        return run("systemctl", "is-active", FULL).stdout.strip() == "activating"

    def apply(self) -> None:
        wanted = self.differs()
        if NOTHING in wanted:
            must(pgbackrest(self.stanza, "check"), "changes do not reach the repository")
        why = [word for word in wanted if word != NOTHING]
        if why:
            must(run("systemctl", "start", "--no-block", FULL), "systemd")
            print(f"{why[0]}: a full one has begun; journalctl -u {FULL} tells how it goes")


class Absent:
    """No timer and no configuration; the repository stays."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self.paths = [Path(path) for path in declared["files"]]
        self.timers = declared["timers"]

    def differs(self) -> list[str]:
        return [str(path) for path in self.paths if path.exists()]

    def apply(self) -> None:
        if query("select to_json(current_setting('archive_command') ~ 'pgbackrest')"):
            raise RefusedError("the server still archives by pgbackrest; take archive_command away first")
        here = [one for one in self.timers if any(path.name == one and path.exists() for path in self.paths)]
        if here:
            must(run("systemctl", "disable", "--now", "--quiet", *here), "systemd")
        for path in self.paths:
            path.unlink(missing_ok=True)
        must(run("systemctl", "daemon-reload"), "systemd")
        # A backup that was being made failed with the restart of the server; its unit is gone.
        must(run("systemctl", "reset-failed", "hostwright-recovery-*.service"), "systemd")


def replace(path: Path, text: str) -> None:
    """Write a whole file of root by rename: a reader or a power cut sees the old or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".dpkg-new", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            own(handle, path)
            os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def main(what: str, verb: str, declared: str) -> int:
    kinds: dict[str, Any] = {"configured": Configured, "archiving": Archiving, "absent": Absent}
    if what != "absent" and not Path(PGBACKREST).exists():
        if verb == "ask":
            return 0
        print("pgBackRest: it is not installed; install the package pgbackrest first", file=sys.stderr)
        return 1
    try:
        thing = kinds[what](json.loads(declared))
        if verb == "ask":
            print(json.dumps({"differs": thing.differs()}))
        else:
            thing.apply()
    except RefusedError as problem:
        print(f"pgBackRest: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
