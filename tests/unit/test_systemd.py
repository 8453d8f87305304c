"""Units: what they are rendered to, what is refused, and how the host's program judges them."""

from __future__ import annotations

import hashlib
import json
import runpy
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import OperationError

from facts.systemd import ServicesState
from operations import systemd
from operations.systemd_text import command_text, environment_lines, quoted

PROGRAM = Path(__file__).resolve().parents[2] / "files" / "host" / "systemd-control.py"
UNIT = systemd.Unit(
    unit="shop.service", app="shop", service="shop", command=["/opt/shop/venvs/v1/bin/python", "-m", "shop"],
    directory="/opt/shop/parts/aaaaaaaaaaaa", user="shop", writable=["/opt/shop/shared"],
    env_file="/etc/shop/env", watched=["/etc/shop/db.json"],
)  # fmt: skip


def unquoted(line: str) -> list[str]:
    """Read words as systemd.syntax(7) says: quotes, backslashes, and %% for %."""
    return [word.replace("%%", "%") for word in shlex.split(line)]


printable = st.text().filter(str.isprintable)


@given(st.lists(printable, max_size=4))
def test_command_words_arrive_as_they_were(words: list[str]) -> None:
    line = command_text(["/bin/x", *words])
    assert [word.replace("$$", "$") for word in unquoted(line)] == ["/bin/x", *words]


@given(printable)
def test_variables_arrive_as_they_were(value: str) -> None:
    assert unquoted(environment_lines({"A": value})[0]) == [f"A={value}"]


def test_a_dollar_is_a_dollar_where_systemd_would_replace_it() -> None:
    assert command_text(["/bin/x", "$HOME"]) == '/bin/x "$$HOME"'
    assert quoted("$HOME") == '"$HOME"'


def test_unit_has_what_it_must() -> None:
    lines = systemd.unit_text(UNIT).splitlines()
    for line in (
        "User=shop", "Group=shop", "WorkingDirectory=/opt/shop/parts/aaaaaaaaaaaa",
        "EnvironmentFile=/etc/shop/env",
        "ExecStart=/opt/shop/venvs/v1/bin/python -m shop", "KillSignal=SIGTERM", "TimeoutStopSec=10",
        "Restart=always", "SyslogIdentifier=shop", "NoNewPrivileges=true", "ProtectSystem=strict",
        "ReadWritePaths=/opt/shop/shared", "CapabilityBoundingSet=", "PrivateTmp=true", "App=shop",
        "After=network-online.target postgresql.service",
    ):  # fmt: skip
        assert line in lines
    start = next(line for line in lines if line.startswith("ExecStartPre="))
    assert "/etc/systemd/system/shop.service /etc/shop/env /etc/shop/db.json >" in start


def test_units_are_as_hardened_as_the_supervisors_are() -> None:
    template = (PROGRAM.parents[2] / "templates" / "app.service.j2").read_text()
    hardening = template[template.index("NoNewPrivileges") : template.index("[Install]")]
    own = systemd.unit_text(UNIT)
    rendered = hardening.replace("{{ writable }}", "/opt/shop/shared")
    assert [line for line in rendered.splitlines() if line not in own.splitlines()] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"unit": "shop"}, "'shop' is no service"),
        ({"unit": "../x.service"}, "unit"),
        ({"command": ["python"]}, "must begin with an absolute path"),
        ({"command": ["/bin/x", "a\nb"]}, "line break"),
        ({"command": ["/bin/a b"]}, "the program"),
        ({"directory": "x"}, "directory"),
        ({"user": "a b"}, "user"),
        ({"watched": ["/etc/a b"]}, "watched"),
        ({"writable": ["-x"]}, "writable"),
        ({"environment": {"a-b": "1"}}, "'a-b'"),
        ({"environment": {"A": "1\n[Service]"}}, "value of A"),
        ({"stop_seconds": -1}, "stop_seconds"),
    ],
)
def test_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(OperationError, match=named):
        systemd.unit_text(replace(UNIT, **change))


@pytest.fixture
def control() -> dict[str, Any]:
    """Return the part of the host's program that judges, as a module."""
    return runpy.run_path(str(PROGRAM.with_name("systemd_reasons.py")))


def part(tmp_path: Path, name: str, code: str) -> str:
    """Make a part whose release says which code it is."""
    release = tmp_path / "parts" / name
    release.mkdir(parents=True)
    (release / ".hostwright.json").write_text(json.dumps({"parts": {name: code}}))
    return str(release)


def test_it_says_what_changed(control: dict[str, Any], tmp_path: Path) -> None:
    changes: Callable[[str | None, str], list[str]] = control["changes"]
    old = replace(UNIT, directory=part(tmp_path, "a", "one"))
    same_code = replace(UNIT, directory=part(tmp_path, "b", "one"), command=["/opt/v2/python", "-m", "shop"])
    new_code = replace(UNIT, directory=part(tmp_path, "c", "two"))
    text = systemd.unit_text(old)
    assert changes(None, text) == ["it is new"]
    assert changes(text, text) == []
    assert changes(text, systemd.unit_text(new_code)) == ["its code changed"]
    assert changes(text, systemd.unit_text(same_code)) == ["its packages or its program changed"]
    assert changes(text, systemd.unit_text(replace(old, stop_seconds=99))) == ["its settings changed"]
    assert changes(text, systemd.unit_text(replace(old, command=[*old.command, "-v"]))) == [
        "its settings changed"
    ]


def test_it_names_the_files_that_changed_since_the_start(control: dict[str, Any], tmp_path: Path) -> None:
    env, gone = tmp_path / "env", tmp_path / "gone"
    env.write_text("A=1\n")
    digest = hashlib.sha256(b"A=1\n").hexdigest()
    outdated: Callable[[str, str], list[str]] = control["outdated"]
    assert outdated("shop.service", str(tmp_path)) == ["shop.service was not started as it is now"]
    (tmp_path / "shop.service").write_text(f"{digest}  {env}\n")
    assert outdated("shop.service", str(tmp_path)) == []
    (tmp_path / "shop.service").write_text(f"{digest}  {env}\n{digest}  {gone}\n")
    env.write_text("A=2\n")
    assert outdated("shop.service", str(tmp_path)) == [f"{env} changed", f"{gone} changed"]


def test_what_is_unsettled_is_said_in_lines() -> None:
    state = ServicesState(
        services={"shop": "shop.service"}, due={"shop.service": ["a", "b"]},
        disabled=["shop.service", "x.service"], reload=True, stale=["old.service"],
    )  # fmt: skip
    assert systemd.unsettled(state) == [
        "shop.service: a, b", "x.service: a boot would not start it", "old.service: is no longer declared",
    ]  # fmt: skip
    calm = ServicesState(services={"shop": "s"}, due={}, disabled=[], reload=False, stale=[])
    assert systemd.unsettled(calm) == []
    assert systemd.unsettled({**calm, "reload": True}) == ["systemd has not read its units again"]
