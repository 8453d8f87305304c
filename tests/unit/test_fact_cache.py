"""What is kept of a host's answers: each rule of `connectors.fact_cache.FactCache`, broken once."""

from __future__ import annotations

import os
import stat
import time
import zlib
from pathlib import Path

import pytest

from connectors import fact_cache as module
from connectors.channel import Reply
from connectors.fact_cache import FactCache, file_of


def answered(cache: FactCache, *commands: str, asked: float | None = None) -> dict[str, Reply]:
    """Have commands asked, now or at another time."""
    replies = {command: Reply() for command in commands}
    for command, reply in replies.items():
        cache.put(command, reply, time.monotonic() if asked is None else asked)
    return replies


def past(file: Path, *commands: str) -> None:
    """Have had a run that asked these."""
    run = FactCache(file)
    for command in commands:
        run.get(command, "op")
    run.save()


def test_an_answer_is_served_once_to_each_operation() -> None:
    cache = FactCache(None)
    replies = answered(cache, "a", "b")
    for asker in ("one", "two", None):
        assert cache.get("a", asker) is replies["a"]
    assert cache.get("b", "one") is replies["b"]
    assert cache.get("c", "one") is None
    # Who asks again wants to know anew, and what is then asked is for all.
    assert cache.get("a", "one") is None
    assert cache.get("a", "three") is None


def test_no_answer_outlives_a_change() -> None:
    cache = FactCache(None)
    answered(cache, "a", "b")
    assert cache.invalidate()
    assert cache.get("a", "op") is None
    assert cache.get("b", "op") is None
    assert not cache.invalidate()


def test_no_answer_is_served_after_a_minute() -> None:
    cache = FactCache(None)
    now = time.monotonic()
    answered(cache, "young", asked=now - module.FRESH_SECONDS + 1)
    answered(cache, "old", asked=now - module.FRESH_SECONDS - 1)
    assert cache.get("young", "op") is not None
    assert cache.get("old", "op") is None


def test_no_answer_is_of_a_time_when_another_run_was_at_work() -> None:
    cache = FactCache(None)
    now = time.monotonic()
    answered(cache, "before", asked=now - 5)
    answered(cache, "after", asked=now - 3)
    cache.expire(4)
    assert cache.get("before", "op") is None
    assert cache.get("after", "op") is not None


def test_what_was_asked_is_what_the_next_run_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "x"
    past(file, "a", "b", "a", "c")
    run = FactCache(file)
    assert run.to_prefetch() == ["a", "b", "c"]
    answered(run, *run.to_prefetch())
    run.get("b", "op")
    run.invalidate()
    run.get("new", "op")
    run.save()
    assert FactCache(file).to_prefetch() == ["b", "new"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["x"]


@pytest.mark.parametrize("content", [b"", b"x", b'{"a": 1}', b'[["a"]]', b"[1]"])
def test_a_file_that_is_damaged_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(zlib.compress(content) if content else content)
    assert FactCache(file).to_prefetch() == []


def test_no_place_to_write_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = FactCache(tmp_path / "file" / "x")
    run.get("a", "op")
    run.save()


def test_each_kind_of_run_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSTWRIGHT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    files = {
        file_of("one.py", "deploy.py"),
        file_of("one.py", "deploy.py", "dry"),
        file_of("one.pydeploy.py"),
    }
    assert len(files) == 3
    assert {str(file.parent) for file in files} == {"/cache/hostwright/prefetch"}
    monkeypatch.setenv("HOSTWRIGHT_CACHE", "/other")
    assert str(file_of("x").parent) == "/other/prefetch"


def test_files_of_runs_that_are_no_more_go(tmp_path: Path) -> None:
    for name, days in (("old", 91), ("young", 89)):
        (tmp_path / name).write_text("")
        at = time.time() - days * 24 * 3600
        os.utime(tmp_path / name, (at, at))
    past(tmp_path / "x", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "young"]
