"""The switch and its parts, as the host's own programs make and read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facts.script import text

FIRST, SECOND = "a" * 12, "b" * 12


def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", text(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def switch(app: Path, release: str) -> None:
    done = program("release-current.py", str(app), release)
    assert done.returncode == 0, done.stderr


def state(app: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(program("release-state.py", str(app)).stdout)
    return found


def make(app: Path, release: str, *parts: str) -> None:
    place = app / "releases" / release
    place.mkdir(parents=True)
    marker = {"identity": release, "parts": dict.fromkeys(parts, "c"), "about": {"commit": "1"}}
    (place / ".hostwright.json").write_text(json.dumps(marker))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    make(tmp_path, "r1", FIRST)
    make(tmp_path, "r2", FIRST, SECOND)
    return tmp_path


def links(app: Path) -> dict[str, str]:
    return {link.name: str(link.readlink()) for link in (app / "parts").iterdir()}


def test_a_part_is_made_once_and_stays(app: Path) -> None:
    switch(app, "r1")
    before = os.lstat(app / "parts" / FIRST)
    switch(app, "r2")
    assert links(app) == {FIRST: "../releases/r1", SECOND: "../releases/r2"}
    now = os.lstat(app / "parts" / FIRST)
    # Not the time at which it was last looked at.
    assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    found = state(app)
    assert (found["current"], found["previous"]) == ("r2", "r1")
    assert found["parts"] == {FIRST: "r1", SECOND: "r2"}
    assert found["releases"]["r2"]["parts"] == [FIRST, SECOND]
    assert found["releases"]["r2"]["about"] == {"commit": "1"}
    switch(app, "r1")
    assert links(app) == {FIRST: "../releases/r1", SECOND: "../releases/r2"}
    assert (state(app)["current"], state(app)["previous"]) == ("r1", "r2")


@pytest.mark.parametrize(
    "target", ["../releases/gone", "../releases/old", "../releases/../releases/r1", "/elsewhere", "r1", None]
)
def test_what_leads_nowhere_is_repaired(app: Path, target: str | None) -> None:
    switch(app, "r2")
    make(app, "old")  # a whole release, but without this part
    (app / "parts" / FIRST).unlink()
    if target is not None:
        (app / "parts" / FIRST).symlink_to(target)
    (app / "parts" / f".{FIRST}.new").symlink_to("left over")
    assert state(app)["parts"].get(FIRST) is None
    assert state(app)["leftovers"] == [f"parts/.{FIRST}.new"]
    before = (state(app)["current"], state(app)["previous"])
    switch(app, "r2")
    assert links(app) == {FIRST: "../releases/r2", SECOND: "../releases/r2"}
    assert (state(app)["current"], state(app)["previous"]) == before


def test_a_release_that_is_not_whole_is_never_current(app: Path) -> None:
    switch(app, "r1")
    (app / "releases" / "half").mkdir()
    for release in ("half", "none"):
        done = program("release-current.py", str(app), release)
        assert done.returncode == 1
        assert f"there is no whole release {release}; unpack it first" in done.stderr
    assert state(app)["current"] == "r1"


def test_releases_without_parts_of_their_own_still_switch(app: Path) -> None:
    place = app / "releases" / "older"
    place.mkdir()
    (place / ".hostwright.json").write_text(json.dumps({"identity": "x"}))
    switch(app, "older")
    found = state(app)
    assert found["current"] == "older"
    assert found["releases"]["older"]["about"] is None
    assert found["parts"] == {}
