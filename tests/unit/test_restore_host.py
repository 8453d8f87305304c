"""Restores: those of the host's parts that need no server."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import OperationError

from facts.script import text
from operations import restore
from tests.unit.dumps import host_python


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup as it lies on a host."""
    place = tmp_path / "backup"
    (place / "dump").mkdir(parents=True)
    for name in ("dump/toc.dat", "dump/1.dat.gz", "globals.sql"):
        (place / name).write_text(name)
    files = {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file()
    }
    about = {"app": "shop", "database": "shop", "tables": {}, "stamp": "x", "files": files}
    (place / "backup.json").write_text(json.dumps(about))
    return place


VERIFY = """
try:
    verify(sys.argv[1], about(sys.argv[1])["files"])
    print("whole")
except FailedError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _: None, "whole"),
        (lambda place: (place / "dump/1.dat.gz").write_text("other"), "its checksum differs"),
        (lambda place: (place / "dump/toc.dat").unlink(), "dump/toc.dat is missing"),
        (lambda place: (place / "dump/2.dat.gz").write_text("more"), "has dump/2.dat.gz"),
        (lambda place: (place / "backup.json").write_text("{"), "backup.json is damaged"),
        (lambda place: (place / "backup.json").write_text('{"app": "shop"}'), "has no database, tables"),
    ],
)
def test_a_backup_is_whole_or_refused(backup: Path, damage: Any, says: str) -> None:
    damage(backup)
    assert says in host_python("restore_files.py", VERIFY, str(backup)).stdout


REFUSALS = """
for one in (lambda: fits({"app": "other"}, "shop"), lambda: old_enough("17.2", 150018),
            lambda: old_enough(150018, 150018), lambda: choose("no_such_app", "20260101T000000Z")):
    try:
        one()
        print("fine")
    except FailedError as error:
        print(error)
"""


def test_what_does_not_fit_the_host_is_refused() -> None:
    said = host_python("restore_files.py", REFUSALS).stdout.splitlines()
    assert said[0] == "this is a backup of 'other', not of 'shop'; say --data app=other"
    assert said[1].startswith("it was dumped from PostgreSQL 17, and this host has 15; restore it on")
    assert said[2] == "fine"
    assert said[3].endswith("there is none in /var/backups/no_such_app")


def test_names() -> None:
    assert restore.names("shop", "20261125t220000z") == (
        "shop_restore_20261125t220000z", "shop_replaced_20261125t220000z",
    )  # fmt: skip
    with pytest.raises(OperationError, match="at most 63 bytes"):
        restore.names("x" * 40, "20261125t220000z")
    with pytest.raises(OperationError, match="is none"):
        restore.names("shop", "20261125T220000Z")


STANDING_IN = """
import os
class Done:
    returncode, stderr = 0, ""
    def __init__(self, said): self.stdout = said
asked = []
os.environ["CLUSTER_BIN"] = "/nowhere"
subprocess.run = lambda words, input, **_: asked.append(input) or Done(sys.argv[1])
"""


def test_rows_are_counted_as_a_backup_counts_them() -> None:
    """A table that others inherit from has its own rows only in backup.json, and as many here."""
    said = host_python("restore_common.py", STANDING_IN + "print(count('shop'), asked)", "public.a\t3\n")
    assert said.stdout.startswith("{'public.a': 3}"), said.stderr
    assert "count(*) from only %I.%I" in said.stdout


@pytest.mark.parametrize(
    ("given", "says"),
    [("t\n", "(True, 't')"), ("f\n", "(False, 'f')"), ("", "(False, '')"), ("f\nt\n", "more than one value"),
     ("t\tf\n", "more than one value")],
)  # fmt: skip
def test_only_one_true_value_lets_an_app_be_emptied(given: str, says: str) -> None:
    said = host_python("restore_common.py", STANDING_IN + "print(holds('select 1', 'shop', 'shop'))", given)
    assert says in said.stdout, said.stderr
    assert said.stdout.startswith("(True") == (given == "t\n")


def test_root_follows_no_link_beside_pg_hba(tmp_path: Path) -> None:
    """The directory belongs to postgres, who must not have root write or give away another file."""
    other = tmp_path / "shadow"
    other.write_text("precious")
    (tmp_path / "pg_hba.conf").write_text("local all all peer\n")
    (tmp_path / "pg_hba.conf.restore").symlink_to(other)
    body = (
        "text, found = read(sys.argv[1]); replace(sys.argv[1], text + 'more\\n', found)\n"
        "os.rename(sys.argv[1], sys.argv[1] + '.was'); os.symlink(sys.argv[2], sys.argv[1])\n"
        "try:\n    print(read(sys.argv[1])[0])\nexcept OSError as error:\n    print('refused', error)"
    )
    program = f"__name__ = 'part'\n{text('restore-hba.py')}\nimport sys\n{body}"
    said = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "pg_hba.conf"), str(other)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.startswith("refused")
    assert other.read_text() == "precious"
    assert (tmp_path / "pg_hba.conf.was").read_text() == "local all all peer\nmore\n"


ROOM = """
import os, types
os.environ.update(CLUSTER_DATA="/data", CLUSTER_BIN="/nowhere")
megabyte, ended = 1 << 20, []
def disk(free): os.statvfs = lambda _: types.SimpleNamespace(f_bavail=free, f_frsize=megabyte)
def psql(sql, database="postgres", variables=None, env=None):
    ended.append(variables)
    return [[str(1024 * megabyte)]]
def tried(size):
    try:
        room(size * megabyte)
        return "fits"
    except FailedError as error:
        return str(error)
"""


def test_room_for_the_rows_and_for_the_servers_log_of_them() -> None:
    body = "disk(2300); print(tried(1000)); disk(2100); print(tried(1000)); disk(60); print(tried(0))"
    said = host_python("restore_room.py", ROOM + body)
    lines = said.stdout.splitlines()
    assert lines[0] == "fits", said.stderr
    assert all("make room" in one for one in lines[1:3])


def test_filling_is_given_up_before_the_servers_disk_is_full() -> None:
    body = """
import time
disk(1000)
def stopped():
    disk(10)
    while not ended:
        time.sleep(0.01)
    raise FailedError("pg_restore stopped: terminating connection")
try:
    with watched("fresh"):
        stopped()
except FailedError as error:
    print(ended[0], error)
disk(1000)
try:
    with watched("fresh"):
        raise FailedError("of its own")
except FailedError as error:
    print(error)
"""
    said = host_python("restore_room.py", ROOM + body)
    first, second = said.stdout.splitlines()
    assert first.startswith("{'name': 'fresh'} it needs more room"), said.stderr
    assert second == "of its own"


def test_a_backup_says_how_large_its_database_was(tmp_path: Path) -> None:
    """However well it was compressed: the server's disk must not run full while it is filled."""
    body = """
print(size_of({"bytes": 10, "database_bytes": 5000}), size_of({"bytes": 10}))
about = lambda _: {"tables": {}, "bytes": 10, "database_bytes": 5000}
weight = lambda _: 10
print(Source({"path": sys.argv[1]}).size)
"""
    program = f"__name__ = 'part'\n{text('restore-load.py')}\nimport sys\n{body}"
    said = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["5000", "10", "5000"]


def test_newest_is_not_guessed_where_a_clock_was_wrong(tmp_path: Path) -> None:
    for stamp in ("20251125T220000Z", "29991125T220000Z"):
        (tmp_path / "shop" / stamp).mkdir(parents=True)
        (tmp_path / "shop" / stamp / "backup.json").write_text("{}")
    body = """
BACKUPS = sys.argv[1]
print(choose("shop", "20251125T220000Z"))
try:
    print(choose("shop", "newest"))
except FailedError as error:
    print(error)
"""
    said = host_python("restore_files.py", body, str(tmp_path)).stdout.splitlines()
    assert said[0].endswith("/shop/20251125T220000Z")
    assert "29991125T220000Z is of a time to come" in said[1]


def test_a_fresh_database_has_the_live_ones_comment() -> None:
    body = STANDING_IN + "print(comment({'oid': 5}, 'a\"b'), asked)"
    given = json.dumps("it's\nours") + "\n"
    said = host_python("restore_database.py", body, given).stdout
    assert repr("comment on database \"a\"\"b\" is 'it''s\nours';") in said
    assert "shobj_description(5, 'pg_database')" in said
    assert host_python("restore_database.py", body, "\n").stdout.startswith("[]")


def test_what_everybody_may_not_do_is_taken_away_before_anything_is_granted() -> None:
    """Else a SECURITY DEFINER function of a foreign dump could be called by every role of the server."""
    body = """
run = []
def psql(sql, database="postgres", variables=None, env=None):
    run.append((database, sql.splitlines()[-1]))
    if database == "live":
        return [["revoke it;" if "revoke all on %s %s from public" in sql else "grant it;"]]
grants("live", "fresh")
print([sql for database, sql in run if database == "fresh"])
"""
    assert host_python("restore_database.py", body).stdout == "['revoke it;', 'grant it;']\n"
