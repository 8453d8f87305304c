"""Restores: what is told, asked and refused on this machine already."""

from __future__ import annotations

import gzip
import os
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.restore_source import SourceError, inspect
from operations.trial import TrialError
from settings import load
from settings.errors import SettingsError
from tasks import restore_plan as task
from tests.unit.dumps import PLAIN, tar


def inspected(path: Path) -> str:
    return inspect(path, app="shop", place=path.parent).kind


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


def test_a_stamp_is_the_hosts_whatever_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("newest", "20261125T220000Z", "other"):
        (tmp_path / name).mkdir()
    assert [task._is_path(one) for one in ("newest", "20261125T220000Z")] == [False, False]
    assert [task._is_path(one) for one in ("./20261125T220000Z", "x.tar.age", "other")] == [True, True, True]
