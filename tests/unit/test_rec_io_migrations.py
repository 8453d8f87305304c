"""The example application's migrations: order, checksums, and what is refused."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rec_io"
sys.path.insert(0, str(EXAMPLE))

from backend.migration_files import MigrationError, pending, read  # noqa: E402


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name.lstrip('m')}.sql").write_text(text)
    return directory


def test_read_in_order_with_checksums(tmp_path: Path) -> None:
    write(tmp_path, m010_c="SELECT 3;", m002_b="SELECT 2;", m001_a="SELECT 1;")
    (tmp_path / "README").write_text("not a migration")
    found = read(tmp_path)
    assert [m.name for m in found] == ["001_a", "002_b", "010_c"]
    assert found[0].sha256 == hashlib.sha256(b"SELECT 1;").hexdigest()


def test_only_what_was_not_applied_is_pending(tmp_path: Path) -> None:
    found = read(write(tmp_path, m001_a="SELECT 1;", m002_b="SELECT 2;"))
    assert [m.name for m in pending(found, {})] == ["001_a", "002_b"]
    assert [m.name for m in pending(found, {"001_a": found[0].sha256})] == ["002_b"]
    assert pending(found, {m.name: m.sha256 for m in found}) == []


def test_changed_file_is_refused(tmp_path: Path) -> None:
    found = read(write(tmp_path, m001_a="SELECT 1;"))
    with pytest.raises(MigrationError, match="001_a: changed since it was applied"):
        pending(found, {"001_a": "0" * 64})


def test_what_only_a_newer_release_knows_is_left_alone(tmp_path: Path) -> None:
    found = read(write(tmp_path, m001_a="SELECT 1;"))
    assert pending(found, {"001_a": found[0].sha256, "002_newer": "0" * 64}) == []


def test_late_comer_is_refused(tmp_path: Path) -> None:
    found = read(write(tmp_path, m001_a="SELECT 1;", m002_b="SELECT 2;"))
    with pytest.raises(MigrationError, match="001_a: comes before 002_b"):
        pending(found, {"002_b": found[1].sha256})


def test_number_used_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="001_a has that number already"):
        read(write(tmp_path, m001_a="SELECT 1;", m001_b="SELECT 2;"))


@pytest.mark.parametrize(
    "name", ["1_short.sql", "001-dash.sql", "first.sql", "001_.SQL.sql", "001_Upper.sql"]
)
def test_odd_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match="name it like"):
        read(tmp_path)


@pytest.mark.parametrize("line", ["COMMIT;", "  begin ;", "START TRANSACTION;", "rollback work;", "END;"])
def test_own_transaction_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(MigrationError, match="each file runs in one transaction"):
        read(write(tmp_path, m001_a=f"SELECT 1;\n{line}\nSELECT 2;"))


def test_begin_and_end_of_a_function_body_are_fine(tmp_path: Path) -> None:
    body = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $x$\nBEGIN\n  NULL;\nEND;\n$x$;"
    assert len(read(write(tmp_path, m001_a=body))) == 1


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="not a directory"):
        read(tmp_path / "nowhere")


def test_the_application_s_own_files_are_acceptable() -> None:
    assert [m.name[:3] for m in read(EXAMPLE / "migrations")] == ["001", "002", "003", "004"]
