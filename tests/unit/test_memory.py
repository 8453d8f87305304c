"""What is remembered of a host's answers: each rule of `connectors.memory.Memory`, broken once."""

from __future__ import annotations

import os
import stat
import time
import zlib
from pathlib import Path

import pytest

from connectors import memory as module
from connectors.channel import Reply
from connectors.memory import Memory, file_of


def answered(memory: Memory, *commands: str, asked: float | None = None) -> dict[str, Reply]:
    """Have commands asked, now or at another time."""
    replies = {command: Reply() for command in commands}
    for command, reply in replies.items():
        memory.put(command, reply, time.monotonic() if asked is None else asked)
    return replies


def past(file: Path, *commands: str) -> None:
    """Have had a run that asked these."""
    run = Memory(file)
    for command in commands:
        run.take(command)
    run.keep()


def test_an_answer_is_served_once() -> None:
    memory = Memory(None)
    replies = answered(memory, "a", "b")
    assert memory.take("a") is replies["a"]
    assert memory.take("a") is None
    assert memory.take("b") is replies["b"]
    assert memory.take("c") is None


def test_no_answer_outlives_a_change() -> None:
    memory = Memory(None)
    answered(memory, "a", "b")
    assert memory.changed()
    assert memory.take("a") is None
    assert memory.take("b") is None
    assert not memory.changed()


def test_no_answer_is_served_after_a_minute() -> None:
    memory = Memory(None)
    now = time.monotonic()
    answered(memory, "young", asked=now - module.FRESH_SECONDS + 1)
    answered(memory, "old", asked=now - module.FRESH_SECONDS - 1)
    assert memory.take("young") is not None
    assert memory.take("old") is None


def test_no_answer_is_of_a_time_when_another_run_was_at_work() -> None:
    memory = Memory(None)
    now = time.monotonic()
    answered(memory, "before", asked=now - 5)
    answered(memory, "after", asked=now - 3)
    memory.quiet(4)
    assert memory.take("before") is None
    assert memory.take("after") is not None


def test_what_was_asked_is_what_the_next_run_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "x"
    past(file, "a", "b", "a", "c")
    run = Memory(file)
    assert run.begin() == ["a", "b", "c"]
    answered(run, *run.begin())
    run.take("b")
    run.changed()
    run.take("new")
    run.keep()
    assert Memory(file).begin() == ["b", "new"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["x"]


@pytest.mark.parametrize("content", [b"", b"x", b'{"a": 1}', b'[["a"]]', b"[1]"])
def test_a_file_that_is_damaged_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(zlib.compress(content) if content else content)
    assert Memory(file).begin() == []


def test_no_place_to_write_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = Memory(tmp_path / "file" / "x")
    run.take("a")
    run.keep()


def test_each_kind_of_run_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSTWRIGHT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    files = {
        file_of("one.py", "deploy.py"),
        file_of("one.py", "deploy.py", "dry"),
        file_of("one.pydeploy.py"),
    }
    assert len(files) == 3
    assert {str(file.parent) for file in files} == {"/cache/hostwright/asked"}
    monkeypatch.setenv("HOSTWRIGHT_CACHE", "/other")
    assert str(file_of("x").parent) == "/other/asked"


def test_files_of_runs_that_are_no_more_go(tmp_path: Path) -> None:
    for name, days in (("old", 91), ("young", 89)):
        (tmp_path / name).write_text("")
        at = time.time() - days * 24 * 3600
        os.utime(tmp_path / name, (at, at))
    past(tmp_path / "x", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "young"]
