"""Restores: what is refused on this machine already, and those of the host's parts that need no server."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import OperationError

from facts.script import text
from operations import restore
from operations.restore_source import SourceError, inspect
from operations.trial import TrialError
from settings import load
from settings.errors import SettingsError
from tasks import restore_plan as task

HOST = Path(__file__).resolve().parents[2] / "files" / "host"
PLAIN = (
    "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.18\n\n"
    "\\restrict abc\nSET lock_timeout = 0;\n"
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$\nbegin\nGRANT x TO y;\nend $$;\n"
    "ALTER FUNCTION public.f() OWNER TO somebody;\n"
    "COPY public.t (a) FROM stdin;\nGRANT this is data;\n\\.\n"
    "GRANT SELECT ON TABLE public.t TO reader;\n"
    "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
)


def inspected(path: Path) -> str:
    return inspect(path, app="shop", place=path.parent).kind


def tar(path: Path, **files: str) -> Path:
    place = path.parent / "tree"
    for name, content in files.items():
        file = place / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    with tarfile.open(path, "w") as archive:
        archive.add(place, arcname=".")
    return path


def test_kinds_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(PLAIN)
    (tmp_path / "b").write_bytes(gzip.compress(PLAIN.encode()))
    (tmp_path / "c").write_bytes(b"PGDMP" + bytes(600))
    assert [inspected(tmp_path / name) for name in "abc"] == ["sql", "sql", "custom"]
    assert inspected(tar(tmp_path / "d.tar", dump__toc_dot_dat="x" * 2000)) == "tar"
    assert inspected(tmp_path / "tree" / "dump") == "tar"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\x7fELF\0\0", "no dump of PostgreSQL"),
        (PLAIN.encode()[:200], "ends in the middle"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "damaged or cut off"),
        (gzip.compress(b"PGDMP" + bytes(600), mtime=0), "packed once more"),
        (b"-- PostgreSQL database cluster dump\n", "pg_dumpall"),
    ],
)
def test_what_is_no_dump_is_refused_here(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "dump").write_bytes(content)
    with pytest.raises(SourceError, match=says):
        inspected(tmp_path / "dump")


def test_archives_that_are_none_are_refused_here(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        inspected(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"no toc\.dat"):
        inspected(tmp_path)
    whole = tar(tmp_path / "d.tar", toc_dot_dat="x" * 40000)
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:20000])
    with pytest.raises(SourceError, match="damaged tar, or cut off"):
        inspected(tmp_path / "cut.tar")
    # Right where another member would begin, or in the middle of its header, nothing else tells.
    with tarfile.open(whole) as archive:
        archive.getmembers()
        end = archive.offset
    for size in (end, end + 100):
        (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:size])
        with pytest.raises(SourceError, match="its end is missing"):
            inspected(tmp_path / "cut.tar")
    (tmp_path / "tree" / "backup.json").write_text('{"app": "other"}')
    with pytest.raises(SourceError, match="backup of 'other', not of 'shop'; say --data app=other"):
        inspected(tmp_path / "tree")


def test_the_tar_of_a_directory_is_the_same_each_time(tmp_path: Path) -> None:
    tar(tmp_path / "d.tar", toc_dot_dat="x")
    first = inspect(tmp_path / "tree", app="shop", place=tmp_path).path.read_bytes()
    os.utime(tmp_path / "tree" / "toc.dat", (1, 1))
    assert inspect(tmp_path / "tree", app="shop", place=tmp_path).path.read_bytes() == first


def host_python(program: str, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python after the text of a part of the host's programs."""
    return subprocess.run(
        [sys.executable, "-I", "-c", f"{text(program)}\nimport sys\n{body}", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


LINES = """
try:
    plain = Plain(sys.argv[1])
    sys.stdout.write(b"".join(plain.lines()).decode())
    print("version", plain.version)
except FailedError as error:
    print("refused:", error)
"""


def test_of_plain_sql_only_owners_and_privileges_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(PLAIN)
    said = host_python("restore_sql.py", LINES, str(path)).stdout
    assert "\nGRANT x TO y;\n" in said  # a function's body
    assert "\nGRANT this is data;\n" in said
    assert "OWNER TO" not in said
    assert "GRANT SELECT" not in said
    assert "restrict" not in said
    assert said.endswith("version 15.18\n")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("\\connect live\n", r"line 8 of the dump has \\connect"),
        ("\\! rm -rf /\n", r"line 8 of the dump has \\!"),
        ("DROP DATABASE live;\n", "line 8 of the dump has DROP DATABASE"),
        ("create role x;\n", "line 8 of the dump has create role"),
        ("COPY public.t (a) FROM stdin;\n1\n", "ends in the middle"),
    ],
)
def test_plain_sql_that_leads_elsewhere_is_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "dump.sql"
    begin, _, rest = PLAIN.partition("SET lock_timeout")
    path.write_text(f"{begin}{line}" + ("" if line.startswith("COPY") else f"SET lock_timeout{rest}"))
    said = host_python("restore_sql.py", LINES, str(path)).stdout
    assert re.search(f"refused: .*{says}", said), said


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


def host(**data: str) -> Any:
    return SimpleNamespace(name="web-1", data=data)


def test_asked_only_where_somebody_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task.ask(host(yes="1"), ["what would be lost"])
    assert "what would be lost" in capsys.readouterr().err
    with pytest.raises(TrialError, match="say --data yes=1"):
        task.ask(host(), [])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(TrialError, match="it was not confirmed"):
        task.ask(host(), [])
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    task.ask(host(), [])


def declared(**database: Any) -> Any:
    app = {
        "source": "x", "services": {"web": {"command": "true"}},
        "secrets": {"db_password": {"source": "generated"}},
        "database": {"database": "shop", "role": "shop", **database},
    }  # fmt: skip
    return load({"environment": "lab", "apps": {"shop": app}}, "test")


def test_settings() -> None:
    found = declared(time_columns={"orders": "at"}, wipe_when="SELECT count(*) = 0 FROM orders")
    assert found.all_apps()[0].database.time_columns == {"orders": "at"}
    for wrong in ("DELETE FROM orders", "SELECT true; DROP TABLE orders"):
        with pytest.raises(SettingsError, match="wipe_when"):
            declared(wipe_when=wrong)


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


AGE = """#!/bin/sh
# age as far as it matters here: only one key is right, and the end of the file must be there.
[ "$1 $2 $4" = "--decrypt -i -o" ] || exit 9
echo "$@" >>"$(dirname "$0")/argv"
grep -q RIGHT "$3" || { echo 'age: error: no identity matched any of the recipients' >&2; exit 1; }
tail -c 4 "$6" | grep -q END || { head -c 10 "$6" >"$5"; echo 'age: error: unexpected EOF' >&2; exit 1; }
tail -n +2 "$6" | head -c -4 >"$5"
"""


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy that only the key in `right` opens."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "age").write_text(AGE)
    (tmp_path / "bin" / "age").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "right").write_text("RIGHT")
    (tmp_path / "wrong").write_text("another")
    whole = tar(tmp_path / "whole.tar", dump__toc_dot_dat="x", backup_dot_json='{"app": "shop"}').read_bytes()
    copy = tmp_path / "20261125T220000Z.tar.age"
    copy.write_bytes(b"age-encryption.org/v1\n" + whole + b"END\n")
    (tmp_path / "place").mkdir(mode=0o700)
    return copy


def test_an_encrypted_copy_is_decrypted_here(sealed: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    found = inspect(sealed, app="shop", place=place, identity=tmp_path / "right")
    assert (found.kind, found.path, found.backup) == ("tar", place / "20261125T220000Z.tar", {"app": "shop"})
    assert found.path.stat().st_mode & 0o777 == 0o600
    # The key's content is no argument, which everybody could read.
    assert "RIGHT" not in (tmp_path / "bin" / "argv").read_text()
    with pytest.raises(SourceError, match="backup of 'shop', not of 'other'"):
        inspect(sealed, app="other", place=place, identity=tmp_path / "right")


@pytest.mark.parametrize(
    ("key", "cut", "says"),
    [
        (None, 0, "say --data identity=PATH"),
        ("nowhere", 0, "is no file on this machine"),
        ("wrong", 0, "no identity matched any of the recipients"),
        ("right", 9, "unexpected EOF"),
    ],
)
def test_an_encrypted_copy_without_its_key_or_its_end_is_refused(
    sealed: Path, tmp_path: Path, key: str | None, cut: int, says: str
) -> None:
    data = sealed.read_bytes()
    sealed.write_bytes(data[: len(data) - cut])
    identity = None if key is None else tmp_path / key
    with pytest.raises(SourceError, match=says):
        inspect(sealed, app="shop", place=tmp_path / "place", identity=identity)
    assert list((tmp_path / "place").iterdir()) == []


def test_an_encrypted_copy_without_the_program_is_refused(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="apt install age"):
        inspect(sealed, app="shop", place=tmp_path / "place", identity=tmp_path / "right")


def test_a_stamp_is_the_hosts_whatever_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("newest", "20261125T220000Z", "other"):
        (tmp_path / name).mkdir()
    assert [task._is_path(one) for one in ("newest", "20261125T220000Z")] == [False, False]
    assert [task._is_path(one) for one in ("./20261125T220000Z", "x.tar.age", "other")] == [True, True, True]


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


INSERTED = r"""INSERT INTO public.t VALUES (1, 'it''s a text:
GRANT nothing TO nobody;
\! and no command
COPY x FROM stdin;
DROP DATABASE of cards;
-- PostgreSQL database cluster dump
costs $$ or $x$');
INSERT INTO public.t VALUES (2, E'it\'s
REVOKE it;
');
COMMENT ON TABLE public."a'b
GRANT it;" IS 'x'; /* it's /* and */ $$
REVOKE it; */
GRANT SELECT ON TABLE public.t TO reader;
"""


def test_no_line_of_a_text_is_left_out_or_refused(tmp_path: Path) -> None:
    """In what pg_dump --inserts writes, texts have their line breaks as they are."""
    dump = tmp_path / "dump"
    dump.write_text(INSERTED)
    said = host_python("restore_sql.py", LINES, str(dump)).stdout
    assert said == INSERTED.replace("GRANT SELECT ON TABLE public.t TO reader;\n", "") + "version None\n"
    dump.write_text(INSERTED + "\\! id\n")
    assert "has \\!, which could lead" in host_python("restore_sql.py", LINES, str(dump)).stdout
    dump.write_text(INSERTED[:60])
    assert "ends in the middle" in host_python("restore_sql.py", LINES, str(dump)).stdout
