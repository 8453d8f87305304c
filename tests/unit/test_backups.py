"""Backups, as far as they can be told without a server: policy, reading back, differences, settings."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyinfra.api import OperationError

from facts.backups import ScheduledFields
from facts.script import text
from operations import backups
from operations.backups import Backup
from settings.backup import BackupSettings
from tasks import backups as tasks

NOW = 1_795_000_000
DAY = 86400
SHOP = Backup("shop", database="shop", app_root="/opt/shop")
KEY = "age1" + "q" * 58


def load(program: str) -> ModuleType:
    """Return a host program as a module, whole as it is installed, without running it."""
    module = ModuleType(program)
    exec(compile(text(program), program, "exec"), module.__dict__)
    return module


host = load("backup.py")
stamps = st.lists(st.integers(NOW - 400 * DAY, NOW), max_size=60).map(
    lambda all_: sorted({str(host.stamp_of(one)) for one in all_})
)
counts = st.integers(0, 12)


@settings(max_examples=30, deadline=None)
@given(stamps, counts, counts, counts, st.integers(0, 59))
def test_policy(found: list[str], daily: int, weekly: int, monthly: int, proven: int) -> None:
    always = [found[proven]] if proven < len(found) else []
    stay = host.kept(found, daily, weekly, monthly, always=[*always, None])
    assert stay <= set(found)
    assert set(always) <= stay
    assert not found or found[-1] in stay
    recent = {one for one in found if host.at(found[-1]) - host.at(one) < DAY}
    assert len(stay - recent) <= daily + weekly + monthly + len(always)
    # What stays stays: nothing more goes, whatever is asked again.
    assert host.kept(stay, daily, weekly, monthly, always=always) == stay


@settings(max_examples=30, deadline=None)
@given(stamps, counts, counts, counts)
def test_more_is_kept_of_a_longer_policy(found: list[str], daily: int, weekly: int, monthly: int) -> None:
    less = host.kept(found, daily, weekly, monthly)
    for more in ((daily + 1, weekly, monthly), (daily, weekly + 1, monthly), (daily, weekly, monthly + 1)):
        assert less <= host.kept(found, *more)


def test_policy_over_a_year() -> None:
    """Made and pruned every day for a year, there are 7 days, 4 weeks and 3 months to go back to."""
    found: set[str] = set()
    for number in range(365):
        found.add(host.stamp_of(NOW + number * DAY))
        found = host.kept(found, 7, 4, 3)
    ages = sorted((NOW + 364 * DAY - host.at(one)) // DAY for one in found)
    assert ages[:7] == list(range(7))
    assert any(14 <= age <= 28 for age in ages)
    assert ages[-1] >= 31
    assert len(found) <= 14


def test_a_backup_that_is_being_restored_is_not_pruned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        stamp = host.stamp_of(NOW + number * 40 * DAY)
        (tmp_path / stamp).mkdir()
        about = {"stamp": stamp, "made": 1, "bytes": 1, "tables": {}, "files": {}}
        (tmp_path / stamp / "backup.json").write_text(json.dumps(about))
    names = sorted(path.name for path in tmp_path.iterdir())
    config = {"app": "shop", "root": str(tmp_path), "keep": {"daily": 1, "weekly": 1, "monthly": 1}}
    handle = os.open(tmp_path / names[1], os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    host.prune(config, names[-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[1], names[3]]
    assert f"backup {names[1]} is being restored; it stays until the next time" in capsys.readouterr().out
    os.close(handle)
    host.prune(config, names[-1])
    assert [path.name for path in tmp_path.iterdir()] == [names[3]]


def copy_text(rows: int) -> bytes:
    return b"".join(b"%d\tline %d\\n\\\\.\n" % (one, one) for one in range(rows)) + b"\\.\n\n\n"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 400), st.integers(1, 900))
def test_a_member_is_read_in_any_pieces(rows: int, piece: int) -> None:
    data = gzip.compress(copy_text(rows))
    member = host.Member("x.dat.gz")
    for start in range(0, len(data), piece):
        member.feed(data[start : start + piece])
    assert member.finish().rows() == rows


def read_whole(member: Any, data: bytes) -> None:
    member.feed(data)
    member.finish()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_member_that_was_cut_or_changed_is_found(data: st.DataObject) -> None:
    whole = gzip.compress(copy_text(300), mtime=0)
    cut = data.draw(st.integers(0, len(whole) - 1))
    member = host.Member("x.dat.gz")
    member.feed(whole[:cut])
    with pytest.raises(host.FailedError, match="ends in the middle"):
        member.finish()
    # From its tenth byte on: before, gzip keeps what changes nothing.
    place = data.draw(st.integers(10, len(whole) - 1))
    bad = bytearray(whole)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    other = host.Member("x.dat.gz")
    with pytest.raises(host.FailedError):
        read_whole(other, bytes(bad))


def test_reading_follows_what_grows(tmp_path: Path) -> None:
    data = gzip.compress(copy_text(5000))
    reader = host.Reader(str(tmp_path), written=False)
    with (tmp_path / "1.dat.gz").open("wb") as file:
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
            file.flush()
            reader.look()
            reader.failed()
    (tmp_path / "2.dat.gz").write_bytes(gzip.compress(copy_text(3)))
    found = reader.end()
    assert {name: member.rows() for name, member in found.items()} == {"1.dat.gz": 5000, "2.dat.gz": 3}


def test_reading_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(copy_text(1)))
    (tmp_path / "1.dat.gz").symlink_to(tmp_path / "a")
    reader = host.Reader(str(tmp_path))
    with pytest.raises(OSError, match="symbolic"):
        reader.end()


LISTING = """;
; Archive created at 2026-11-25
3412; 0 16391 TABLE DATA public orders shop
3413; 0 16392 TABLE DATA public orders old shop
215; 1259 16391 TABLE public orders shop
"""


def test_members_of_tables() -> None:
    tables = {"public.orders": ("public", "orders"), "public.orders old": ("public", "orders old")}
    found = host.table_members(LISTING, tables)
    assert found == {"public.orders": "3412.dat.gz", "public.orders old": "3413.dat.gz"}
    with pytest.raises(host.FailedError, match=r"no data of table public\.gone"):
        host.table_members(LISTING, {"public.gone": ("public", "gone")})


@pytest.mark.parametrize(
    "about",
    [None, [], {}, {"stamp": "20261125T220000Z", "made": 1, "bytes": 1, "tables": {}, "files": []}],
)
def test_what_is_no_backup(about: object) -> None:
    assert not host.is_whole(about)


def test_only_whole_backups_are_listed(tmp_path: Path) -> None:
    good = '{"stamp": "20261125T220000Z", "made": 1, "bytes": 1, "tables": {}, "files": {}}'
    for name, body in (
        ("20261125T220000Z", good),
        ("20261126T220000Z", good),  # another's
        ("20261127T220000Z", good[:40]),
        (".20261128T220000Z.partial", good),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "backup.json").write_text(body)
    (tmp_path / "20261129T220000Z").mkdir()
    assert list(host.backups({"root": str(tmp_path)})) == ["20261125T220000Z"]


def test_room_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(host.FailedError, match="are missing; free some space"):
        host.need(str(tmp_path), 1 << 60, "a backup")
    host.need(str(tmp_path), 0, "a backup")


def test_names_of_proofs_fit() -> None:
    assert host.scratch_name("shop", "20261125T220000Z") == "shop_proof_20261125T220000Z"
    assert len(host.scratch_name("é" * 31, "20261125T220000Z").encode()) <= 63


def now(wanted: dict[str, tuple[str, str]], **timers: bool) -> ScheduledFields:
    import hashlib

    return ScheduledFields(
        files={
            path: {"sha256": hashlib.sha256(body.encode()).hexdigest(), "mode": mode, "owner": "0:0"}
            for path, (body, mode) in wanted.items()
        },
        timers={path.rpartition("/")[2]: True for path in wanted if path.endswith(".timer")} | timers,
        backed_up=[],
    )


def test_difference() -> None:
    wanted = backups.files([SHOP])
    same = backups.difference(wanted, now(wanted))
    assert (same.write, same.timers, same.gone) == ({}, [], [])
    later = backups.files([Backup("shop", database="shop", app_root="/opt/shop", at="05:00", prove=None)])
    found = backups.difference(later, now(wanted))
    assert found.timers == ["hostwright-backup-shop.timer"]
    assert found.gone == ["/etc/systemd/system/hostwright-prove-shop.timer"]
    assert set(found.write) == {
        "/etc/hostwright/backup/shop.json", "/etc/systemd/system/hostwright-backup-shop.timer",
    }  # fmt: skip
    stopped = now(wanted)
    stopped["timers"]["hostwright-prove-shop.timer"] = False
    assert backups.difference(wanted, stopped).timers == ["hostwright-prove-shop.timer"]
    assert len(backups.difference({}, now(wanted)).gone) == len(wanted)


def test_calendar() -> None:
    assert backups.on_calendar("03:30") == "*-*-* 03:30:00"
    assert backups.on_calendar("Sun 04:30") == "Sun *-*-* 04:30:00"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": "3:30"}, "write a time"),
        ({"prove": "Sunday"}, "write it like 'Sun 04:30'"),
        ({"app_root": "opt"}, "is not usable"),
        ({"copy": {"kind": "rsync", "to": "/mnt"}}, "no age_recipients"),
    ],
)
def test_wrong_arguments(wrong: dict[str, object], says: str) -> None:
    arguments: dict[str, object] = {"app": "shop", "database": "shop", "app_root": "/opt/shop", **wrong}
    with pytest.raises(OperationError, match=says):
        backups.files([Backup(**arguments)])  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"at": "25:00"}, "is not a time"),
        ({"daily": 0}, "greater than or equal to 1"),
        ({"copy": {"kind": "rsync", "to": "b@h:x"}}, "readable there"),
        ({"age_recipients": [KEY]}, "there is no 'copy'"),
        ({"age_recipients": ["AGE-SECRET-KEY-1"]}, "public key"),
        ({"age_recipients": [KEY], "copy": {"kind": "rsync", "to": "-e sh"}}, "is not a place"),
        ({"age_recipients": [KEY], "copy": {"kind": "rsync", "to": "/m", "config": "/root/c"}}, "for rclone"),
    ],
)
def test_wrong_settings(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BackupSettings.model_validate(given)


def test_settings() -> None:
    found = BackupSettings.model_validate({"age_recipients": [KEY], "copy": {"kind": "rclone", "to": "s3:b"}})
    assert found.copy_ is not None
    assert (found.at, found.copy_.to, found.prove) == ("03:30", "s3:b", "Sun 04:30")
    app = SimpleNamespace(backed_up=found)
    assert tasks.packages(SimpleNamespace(all_apps=lambda: [app])) == ["age", "rclone"]  # type: ignore[arg-type]


def test_overview() -> None:
    one = {"stamp": "20261125T220000Z", "made": NOW, "bytes": 1 << 20, "seconds": 1.5, "server_version": "15",
           "release": "3f9c", "tables": 2, "rows": 10}  # fmt: skip
    found = {
        "backups": [one], "now": NOW + 3 * 3600,
        "state": {
            "proof": {"ok": False, "at": NOW, "why": "its checksum differs"},
            "proven": {"stamp": "20261125T220000Z", "at": NOW},
        },
    }  # fmt: skip
    lines = tasks.overview("shop", found)
    assert "3 h old" in lines[1]
    assert "proven 2026-11-18" in lines[1]
    assert lines[2].startswith("  THE LAST PROOF FAILED")
    assert time.gmtime(NOW).tm_year == 2026


def test_program_stands_alone() -> None:
    for program in ("backup.py", "backup-schedule.py"):
        assert "from backup_" not in text(program)
        load(program)
    assert sys.version_info >= (3, 10)


def test_tables_are_locked_before_the_snapshot_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To an older snapshot, a table that is rewritten meanwhile has no rows, nor has its dump."""
    asked: list[str] = []

    class Session:
        def __init__(self, *_: object) -> None: ...

        def ask(self, sql: str) -> str:
            asked.append(sql)
            raise host.FailedError("seen enough")

        tell = ask

        def close(self) -> None: ...

    def query(database: str, sql: str) -> str:
        assert (database, sql) == ("shop", host.TABLES)
        return '[["public", "A b", "public.\\"A b\\""], ["public", "c", "public.c"]]'

    monkeypatch.setitem(host.__dict__, "Session", Session)
    monkeypatch.setitem(host.__dict__, "Server", lambda _: SimpleNamespace(query=query))
    backup = host.Backup({"cluster": None, "root": str(tmp_path), "database": "shop"})
    with pytest.raises(host.FailedError, match="seen enough"):
        backup.make()
    lock = 'lock table only public."A b", only public.c in access share mode; '
    # Nothing before the lock may take the snapshot already.
    begin = "begin isolation level repeatable read read only; "
    assert asked == [f"{begin}{lock}select pg_export_snapshot();"]


@pytest.mark.parametrize(
    ("ages", "newest"), [((3, 2, 1), 1), ((3, 2, -900), 2), ((-900, -901), -901)], ids=["past", "one", "all"]
)
def test_the_newest_is_not_one_of_a_time_to_come(ages: tuple[int, ...], newest: int) -> None:
    """A clock that was wrong once must not have the same old backup proven for years."""
    made = {age: host.stamp_of(time.time() - age * DAY) for age in ages}
    assert host.newest_of({made[age]: age for age in sorted(ages, reverse=True)}) == newest


def test_a_proof_takes_the_newest_up_to_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, wrong = (host.stamp_of(time.time() + days * DAY) for days in (-1, 900))
    for stamp in (true, wrong):
        (tmp_path / stamp).mkdir()
        (tmp_path / stamp / "backup.json").write_text(
            f'{{"stamp": "{stamp}", "made": 1, "bytes": 1, "tables": {{}}, "files": {{}}}}'
        )
    proven: list[str] = []
    monkeypatch.setitem(host.__dict__, "Server", lambda _: None)
    monkeypatch.setitem(host.__dict__, "drop_left", lambda *_: None)
    monkeypatch.setitem(host.__dict__, "prove_one", lambda _c, _s, about: proven.append(about["stamp"]))
    config = {"app": "shop", "root": str(tmp_path), "cluster": None, "database": "shop"}
    host.note(config, newest={"stamp": wrong})
    host.prove(config)
    assert proven == [true]


def test_rows_are_compared_by_a_tables_whole_name() -> None:
    asked: list[dict[str, str]] = []

    def query(_name: str, sql: str, **given: str) -> str:
        assert "from only %I.%I" in sql
        assert "\\gexec" in sql
        asked.append(given)
        return {"a.b.c": "3", "public.d": "1"}.get(given["table"], "")

    server = SimpleNamespace(query=query)
    host.compare(server, "scratch", {"a.b.c": 3, "public.d": 1})
    assert asked == [{"table": "a.b.c"}, {"table": "public.d"}]
    with pytest.raises(host.FailedError, match=r"a\.b\.c has 3 rows and had 4; public\.gone has no rows"):
        host.compare(server, "scratch", {"a.b.c": 4, "public.gone": 0})


@pytest.mark.parametrize("broken", ["age", "tar"])
def test_nothing_is_left_of_an_encryption_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("age", "tar"):
        program = tmp_path / "bin" / name
        code = int(name == broken)
        body = f'echo x >"$4"; exit {code}' if name == "age" else f"exit {code}"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setitem(host.__dict__, "need", lambda *_: None)
    root = tmp_path / "root"
    root.mkdir()
    config = {"root": str(root), "age_recipients": [KEY]}
    with pytest.raises(host.FailedError, match=f"{broken} ended with 1"):
        host.encrypt(config, {"stamp": "20261125T220000Z", "bytes": 1})
    assert list(root.iterdir()) == []


def test_a_second_program_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proof comes once a week: it must not be lost to a backup that takes long."""
    monkeypatch.setitem(host.__dict__, "RUNTIME", str(tmp_path))
    monkeypatch.setitem(host.__dict__, "PAUSED", 0.01)
    first = host.locked({"app": "shop"}, "a backup")
    first.__enter__()
    threading.Timer(0.2, first.__exit__, (None, None, None)).start()
    with host.locked({"app": "shop"}, "a proof"):
        said = capsys.readouterr().out
        assert said.count("\n") == 1
        assert "(a backup, process" in said
        assert "a proof begins when it has ended" in said
        monkeypatch.setitem(host.__dict__, "PATIENCE", 0)
        with (
            pytest.raises(host.FailedError, match=r"\(a proof, process .*begin again"),
            host.locked({"app": "shop"}, "a backup"),
        ):
            pass
