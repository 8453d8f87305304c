"""What reads and what writes a file on a host, run on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from facts.atomic import FileState
from facts.script import HOST_PROGRAMS, text

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


def file_state(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ) if path is None else {**os.environ, "PATH": path}
    return subprocess.run(
        ["sh", "-c", text("file-state.sh"), "file-state.sh", *words],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def some_files(place: Path) -> list[str]:
    """Make one path of each kind, and return them all with one that is not there."""
    (place / "regular").write_text("content\n")
    (place / "empty").touch(mode=0o600)
    (place / "odd-mode").touch()
    (place / "odd-mode").chmod(0o4751)
    (place / "directory").mkdir(mode=0o700)
    (place / "link").symlink_to("regular")
    (place / "dangling").symlink_to("nowhere")
    os.mkfifo(place / "pipe")
    # One is the beginning, and one the end, of another's name.
    (place / "regular.new").write_text("other\n")
    (place / "regular.new-").mkdir()
    return [*map(str, sorted(place.iterdir())), str(place / "missing"), "/dev/null"]


def test_several_files_are_as_each_alone(tmp_path: Path) -> None:
    paths = some_files(tmp_path)
    done = file_state("together", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    alone = [file_state("alone", path) for path in paths]
    assert said == [[one.stdout, one.stderr, one.returncode] for one in alone]
    found = {
        Path(path).name: FileState().process(one.stdout.splitlines())
        for path, one in zip(paths, alone, strict=True)
    }
    assert found["missing"] is None
    digest = hashlib.sha256(b"content\n").hexdigest()
    assert found["regular"] is not None
    assert (found["regular"]["kind"], found["regular"]["sha256"]) == ("regular file", digest)
    kinds = {name: one["kind"] for name, one in found.items() if one is not None}
    assert kinds["empty"] == "regular file"
    assert kinds["dangling"] == kinds["link"] == "symbolic link"
    assert (kinds["directory"], kinds["pipe"], kinds["null"]) == (
        "directory", "fifo", "character special file",
    )  # fmt: skip
    assert [found[name]["mode"] for name in ("empty", "odd-mode")] == ["0600", "4751"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "a\\b", "a\nb", "ü", "$a", "*", "-a"])
def test_a_name_that_is_not_plain_is_asked_for_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("content\n")
    assert "regular file" in file_state("alone", str(path)).stdout
    if name == "-a":
        assert file_state("together", str(path)).returncode == 0
        return
    assert file_state("together", str(tmp_path), str(path)).returncode != 0


def test_a_user_that_json_would_write_otherwise_is_asked_for_alone(tmp_path: Path) -> None:
    """As those of a directory service, such as DOMAIN\\name."""
    path = tmp_path / "file"
    path.touch()
    (tmp_path / "stat").write_text(f"#!/bin/sh\nprintf '%s\\n' '{path} DOMAIN\\name|g|644|regular file'\n")
    (tmp_path / "stat").chmod(0o755)
    done = file_state("together", str(path), path=f"{tmp_path}:/usr/bin:/bin")
    assert (done.returncode != 0, done.stdout) == (True, "")
