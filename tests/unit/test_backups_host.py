"""Backups: the program on the host, as far as it needs no server: policy, lists, locks."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts.script import text
from tests.unit.backup_program import DAY, KEY, NOW, host, load

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
