"""Backups that are read back: what was cut, changed or is still growing."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backup_program import host


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
