"""Parts of several host programs: a line's time, whole files, the size of a directory."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from facts.script import HOST_PROGRAMS


def part(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HOST_PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b"2026-02-01T03:04:05Z ERROR it broke", 1769915045.0),
        (b"INFO [2026-02-01 03:04:05,250+01:00] it went on", 1769911445.25),
        (b"2026-02-01T03:04:05.5 +0100 x", 1769911445.5),
        (b"the 2026-13-45 99:99:99 of nobody's calendar", None),
        (b"x" * 60 + b"2026-02-01T03:04:05Z", None),
        (b"", None),
    ],
)
def test_the_time_that_a_line_begins_with(line: bytes, at: float | None) -> None:
    assert part("line_times").line_time(line) == at


def test_a_file_is_written_as_a_whole(tmp_path: Path) -> None:
    files, path = part("whole_files"), tmp_path / "state.json"
    for text, mode in (("[1]", 0o600), ("[2]", 0o644)):
        before = path.stat().st_ino if path.exists() else None
        files.write_whole(str(path), text, mode)
        assert (path.read_text(), path.stat().st_mode & 0o777) == (text, mode)
        assert path.stat().st_ino != before
    assert files.read_json(str(path)) == [2]
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_what_is_not_whole_is_nothing_and_a_link_is_not_followed(tmp_path: Path) -> None:
    files, path, other = part("whole_files"), tmp_path / "state.json", tmp_path / "other"
    assert files.read_json(str(path)) is None
    path.write_text('{"half": ')
    assert files.read_json(str(path)) is None
    other.write_text("kept")
    (tmp_path / ".state.json.new").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        files.write_whole(str(path), "x")
    assert other.read_text() == "kept"


def test_the_size_of_a_directory(tmp_path: Path) -> None:
    sizes = part("file_sizes")
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(bytes(5))
    (tmp_path / "d").symlink_to("/etc/hostname")
    assert sizes.bytes_below(str(tmp_path)) == 15 + len("/etc/hostname")
    assert sizes.bytes_below(str(tmp_path / "none")) == 0
