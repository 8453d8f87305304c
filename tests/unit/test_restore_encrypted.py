"""Restores of encrypted copies: decrypted on this machine, or refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from operations.restore_source import SourceError, inspect
from tests.unit.dumps import tar

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
