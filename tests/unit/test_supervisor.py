"""What is written for supervisor is what supervisor reads: round trips through its rules, and refusals."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyinfra.api import OperationError

from facts.script import text
from facts.supervisor import SupervisorState
from operations.supervisor import Program, program_text, unsettled
from operations.supervisor_text import command_text, environment_text, render
from settings import load
from tasks.services import seconds_to_stop, seconds_to_update

BASE = Program(
    service="web", command=["/usr/bin/env", "python3"], directory="/opt/shop",
    stdout_log="/opt/shop/out.log", stderr_log="/opt/shop/err.log",
)  # fmt: skip


def read(program: Program) -> dict[str, str]:
    """Read as supervisor does: comments at ';' and '#' after a space, then expansion of %."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(program_text(program))
    return {key: value % {} for key, value in parser.items(f"program:{program.service}")}


def read_environment(text: str) -> dict[str, str]:
    """Read as supervisor does: words of a shell without escapes, the quotes taken off."""
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    return {tokens[at]: tokens[at + 2].strip("'\"") for at in range(0, len(tokens), 4)}


words = st.lists(st.text(max_size=12), max_size=4)


@given(words)
def test_command_is_read_as_it_was_meant(rest: list[str]) -> None:
    command = ["/usr/bin/env", *rest]
    try:
        found = read(replace(BASE, command=command))["command"]
    except OperationError:
        return
    assert shlex.split(found) == command


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=12), min_size=1)
)
def test_environment_is_read_as_it_was_meant(environment: dict[str, str]) -> None:
    try:
        found = read(replace(BASE, environment=environment))["environment"]
    except OperationError:
        return
    assert read_environment(found) == environment


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_plain_words_are_never_refused(word: str) -> None:
    assert command_text(["/bin/echo", word])
    assume(not {"'", '"'} & set(word))
    assert environment_text({"A": word})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service": "a b"}, "service 'a b' has more than"),
        ({"command": []}, "must begin with an absolute path"),
        ({"command": ["python3"]}, "must begin with an absolute path"),
        ({"command": ["/bin/sh", "-c", "a ;b"]}, "';' or '#' after a space"),
        ({"command": ["/bin/sh", "-c", "a #b"]}, "';' or '#' after a space"),
        ({"command": ["/bin/sh", "a\nb"]}, "line break"),
        ({"directory": "shop"}, "directory 'shop' is not usable; write an absolute path"),
        ({"stdout_log": "out.log"}, "stdout_log 'out.log' is not usable; write an absolute path"),
        ({"stderr_log": "/a b"}, "stderr_log '/a b' is not usable"),
        ({"stop_signal": "term"}, "stop_signal 'term' is no signal; write one like TERM"),
        ({"start_seconds": -1}, "start_seconds of web is -1; write 0 or more"),
        ({"environment": {"A": "x\ny"}}, "the value of A has a line break"),
        ({"environment": {"A": "a'b\"c"}}, "the value of A has both kinds of quotes"),
        ({"environment": {"A": "a ;b"}}, "the value of A has ';' or '#' after a space"),
        ({"environment": {"A-B": "a"}}, "'A-B' is no name for an environment variable"),
    ],
)
def test_what_supervisor_would_bend_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(OperationError) as refused:
        program_text(replace(BASE, **changes))  # type: ignore[arg-type]
    assert message in str(refused.value)


def test_required_settings() -> None:
    found = read(replace(BASE, environment={"A": "100%"}, stop_seconds=30))
    assert (
        found["autorestart"] == found["stopasgroup"] == found["killasgroup"] == found["autostart"] == "true"
    )
    assert found["stdout_logfile_maxbytes"] == found["stderr_logfile_maxbytes"] == "0"
    assert (found["startretries"], found["stopwaitsecs"], found["environment"]) == ("3", "30", 'A="100%"')
    assert "environment" not in read(BASE)


def test_unit_has_one_wants_line_and_no_blank_value() -> None:
    text = render(
        "app.service.j2", app="shop", user="u", group="g", env_file=None, after=["postgresql.service"],
        watched="/a /b", config_path="/c", stop_timeout=9, writable="/d",
        programs="/opt/shop/current/supervisor",
    )  # fmt: skip
    lines = text.splitlines()
    assert "Wants=network-online.target postgresql.service" in lines
    assert "After=network-online.target postgresql.service" in lines
    assert not [line for line in lines if line.startswith("EnvironmentFile")]
    assert "ReadWritePaths=/d" in lines
    assert text.endswith("WantedBy=multi-user.target\n")


def test_unsettled() -> None:
    state = SupervisorState(
        active=True, enabled=True, fresh=True, answers=True, pending=["new"],
        programs={"up": "RUNNING", "down": "STOPPED", "slow": "STARTING"},
    )  # fmt: skip
    assert unsettled(state) == ["down", "new", "slow"]
    assert unsettled({**state, "pending": [], "programs": {"up": "RUNNING"}}) == []


def test_the_waits_follow_from_the_services() -> None:
    services = {
        "web": {"command": "python", "start_seconds": 5, "stop_seconds": 600},
        "work": {"command": "python", "start_seconds": 90, "stop_seconds": 100},
    }
    (app,) = load(
        {"environment": "lab", "apps": {"shop": {"source": "shop", "services": services}}}, "test"
    ).all_apps()
    # Supervisor ends its services one after the other, but an update stops all that changed at once.
    assert seconds_to_stop(app) > 700
    assert seconds_to_update(app) > 690


@pytest.mark.parametrize(("verb", "timeout"), [("restart", 700), ("status", None)])
def test_the_installed_command_knows_its_own_wait(verb: str, timeout: int | None) -> None:
    command = render(
        "supervisor-command.py.j2", verb=verb, unit="shop.service", config_path="/c",
        program=text("supervisor-control.py"), timeout=timeout,
    )  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-I", "-", "--help"], input=command, capture_output=True, text=True, check=True
    ).stdout
    assert f"usage: shop-{verb}" in shown
    assert ("RUNNING, default 700" in " ".join(shown.split())) is (timeout is not None)
