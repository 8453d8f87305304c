"""`files/host/atomic-write.sh`, run on this machine."""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from facts.atomic import FileState
from facts.script import HOST_PROGRAMS

USER = pwd.getpwuid(os.getuid()).pw_name


def write(
    path: Path, content: bytes, validate: str = "", sent: bytes | None = None, path_env: str | None = None
) -> subprocess.CompletedProcess[str]:
    body = base64.encodebytes(content if sent is None else sent).decode()
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    digest = hashlib.sha256(content).hexdigest()
    env = {**os.environ, **({"PATH": path_env} if path_env else {})}
    program = str(HOST_PROGRAMS / "atomic-write.sh")
    return subprocess.run(
        ["sh", program, str(path), USER, group, "0640", digest, validate],
        input=body, capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip


def test_writes_with_mode_and_replaces_the_inode(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_text("old\n", encoding="utf-8")
    old = path.open(encoding="utf-8")
    assert write(path, b"new\n\xff").returncode == 0
    assert path.read_bytes() == b"new\n\xff"
    assert path.stat().st_mode & 0o777 == 0o640
    assert old.read() == "old\n", "the old file was written into"
    old.close()
    assert sorted(tmp_path.iterdir()) == [path]


def test_incomplete_content_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n", encoding="utf-8")
    done = write(path, b"all of it\n", sent=b"all of")
    assert done.returncode == 1
    assert "arrived incomplete" in done.stderr
    assert path.read_text(encoding="utf-8") == "old\n"
    assert sorted(tmp_path.iterdir()) == [path]


def test_validation_sees_the_new_content_and_can_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write(path, b"good\n", 'grep -q good "$FILE"').returncode == 0
    done = write(path, b"bad\n", 'grep -q good "$FILE"')
    assert done.returncode == 1
    assert "file: the new content was refused, nothing was changed: its check gave no reason" in done.stderr
    done = write(path, b"bad\n", 'echo line 1 is bad; cat "$FILE"; exit 3')
    assert done.returncode == 1
    assert done.stderr.endswith("the new content was refused, nothing was changed: line 1 is bad\nbad\n")
    assert "exit 3" not in done.stderr
    assert path.read_text(encoding="utf-8") == "good\n"
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["base64", "sha256sum", "chown", "chmod", "sync", "mv"])
def test_killed_before_any_step_leaves_the_old_file_and_the_next_run_tidies(
    tmp_path: Path, before: str
) -> None:
    traps, work = tmp_path / "traps", tmp_path / "work"
    traps.mkdir()
    work.mkdir()
    (traps / before).write_text('#!/bin/sh\nkill -9 "$PPID"\n', encoding="utf-8")
    (traps / before).chmod(0o755)
    path = work / "file"
    path.write_text("old\n", encoding="utf-8")
    done = write(path, b"new\n", path_env=f"{traps}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert path.read_text(encoding="utf-8") == "old\n"
    assert write(path, b"new\n").returncode == 0
    assert path.read_text(encoding="utf-8") == "new\n"
    assert sorted(work.iterdir()) == [path]


def test_the_fact_of_nothing_a_file_and_a_link() -> None:
    fact = FileState()
    assert fact.process([]) is None
    found = fact.process(["root|adm|640|regular empty file", "e3b0  -"])
    assert found == {"kind": "regular file", "user": "root", "group": "adm", "mode": "0640", "sha256": "e3b0"}
    link = fact.process(["root|root|777|symbolic link"])
    assert link is not None
    assert link["kind"] == "symbolic link"
