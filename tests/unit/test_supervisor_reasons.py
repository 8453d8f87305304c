"""Why a service is restarted: named, never shown."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facts.script import HOST_PROGRAMS
from operations.supervisor import Program, program_text

HOST = runpy.run_path(str(HOST_PROGRAMS / "supervisor_reasons.py"))
reason: Callable[[Any, Any], str] = HOST["reason"]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Two releases: a's part has other code than b's, and c has b's code beside other links."""
    marks = {"r1": {"aaaaaaaaaaaa": "1"}, "r2": {"bbbbbbbbbbbb": "2", "cccccccccccc": "2"}}
    (tmp_path / "parts").mkdir()
    for release, parts in marks.items():
        place = tmp_path / "releases" / release
        place.mkdir(parents=True)
        (place / ".hostwright.json").write_text(json.dumps({"identity": "", "parts": parts}))
        for part in parts:
            (tmp_path / "parts" / part).symlink_to(f"../releases/{release}")
    return tmp_path


def program(app: Path, part: str = "a", **changes: Any) -> dict[str, str]:
    base = Program(
        service="web", command=[f"{app}/venvs/v1/bin/python", "-m", "web"],
        directory=f"{app}/parts/{part * 12}", stdout_log="/o", stderr_log="/e",
        environment={"SAME": "1", "NOTE": "hunter2, a=b"},
    )  # fmt: skip
    text = program_text(replace(base, **changes))
    return dict(HOST["parse"](text)["web"])


def test_each_reason_alone(app: Path) -> None:
    now = program(app)
    assert reason(None, now) == "it is new"
    assert reason(now, None) == "it is no longer declared"
    assert reason(now, program(app, "b")) == "its code changed"
    assert reason(program(app, "c"), program(app, "b")) == "its shared directories changed"
    assert reason(now, program(app, start_seconds=9)) == "its configuration changed (startsecs)"
    assert reason({}, now) == "its configuration changed"


def test_packages_are_told_from_code(app: Path) -> None:
    old, words = program(app, "c"), [f"{app}/venvs/v2/bin/python", "-m", "web"]
    assert reason(old, program(app, "b", command=words)) == "its packages changed"
    assert reason(old, program(app, "a", command=words)) == "its code changed, its packages changed"
    both = program(app, "b", command=[*words, "--more"])
    assert reason(old, both) == "its packages changed, its configuration changed (command)"


def test_names_the_variables_and_never_their_values(app: Path) -> None:
    now = program(app, environment={"SAME": "1", "NOTE": "hunter3, a=b", "NEW": "hunter4"})
    said = reason(program(app), now)
    assert said == "its configuration changed (environment NEW NOTE)"
    assert reason(program(app), program(app, environment={})) == (
        "its configuration changed (environment NOTE SAME)"
    )
    broken = {**now, "environment": "A='x"}
    assert reason(program(app), broken) == "its configuration changed (environment)"


def test_a_part_that_leads_nowhere_counts_as_changed_code(app: Path) -> None:
    (app / "parts" / ("a" * 12)).unlink()
    assert reason(program(app, "a"), program(app, "b")) == "its code changed"
    assert reason(program(app, "b"), program(app, "a")) == "its code changed"


def test_what_is_recorded_is_what_is_read(app: Path) -> None:
    place = str(app / "run")
    now = {"web": program(app), "work": program(app, "b", environment={"A": "100%"})}
    HOST["record"](place, ["web", "work"], now)
    assert HOST["read_programs"](f"{place}/*.conf") == now
    assert Path(place).stat().st_mode & 0o777 == 0o700
    HOST["record"](place, ["web", "work"], {"work": now["work"]})
    assert list(HOST["read_programs"](f"{place}/*.conf")) == ["work"]
    (app / "run" / "work.conf").write_text("nonsense")
    assert HOST["read_programs"](f"{place}/*.conf") == {}


def test_all_included_files_are_read(app: Path) -> None:
    (app / "supervisor").mkdir()
    (app / "supervisor" / "web.conf").write_text(
        program_text(Program("web", ["/bin/true"], "/x", "/o", "/e"))
    )
    config = app / "supervisord.conf"
    config.write_text(f"[supervisord]\n[include]\nfiles = {app}/supervisor/*.conf\n")
    assert HOST["declared"](str(config))["web"]["directory"] == "/x"
