"""Gates that run a command; and gates of several kinds at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from facts.script import HOST_PROGRAMS, text
from tests.unit.gates import (
    LONG,
    Site,
    command,
    fails,
    page,
    passes,
    run,
)

# --- Commands ----------------------------------------------------------------------------------------------


def test_command(tmp_path: Path) -> None:
    passes(tmp_path, command("true"))
    passes(tmp_path, command("sh", "-c", "exit 3", exit_code=3))
    passes(tmp_path, command("echo", "all is well", contains="is well"))
    fails(
        tmp_path,
        "expected exit code 0 from 'sh -c echo why >&2; exit 3', saw exit code 3: why",
        command("sh", "-c", "echo why >&2; exit 3"),
    )
    fails(
        tmp_path,
        "expected exit code 0 and 'well' from 'echo bad', saw exit code 0, but: bad",
        command("echo", "bad", contains="well"),
    )
    fails(tmp_path, "exit code 127", command("/no/such/program"))
    fails(tmp_path, "saw exit code 1: ***", command("sh", "-c", f"cat {tmp_path}/secret; exit 1"))


def test_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    body = f"sleep 30 & echo $! >{tmp_path}/child; echo busy; wait"
    outcome = fails(tmp_path, "it was not done after 1.0 s and was killed: busy", command("sh", "-c", body))
    assert outcome.took < LONG
    # Not our child, so it is gone as soon as it is dead; or a zombie, where nobody collects those.
    status = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_command_that_leaves_something_behind_is_not_waited_for(tmp_path: Path) -> None:
    assert passes(tmp_path, command("sh", "-c", "sleep 30 & exit 0", seconds=20)).took < LONG


def test_command_that_never_stops_talking(tmp_path: Path) -> None:
    assert fails(tmp_path, "was killed: ...", command("yes")).took < LONG


VALUE = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs", "Cc"]), max_size=20)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,5}", fullmatch=True), VALUE, max_size=4))
def test_the_environment_is_read_as_it_was_written(values: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    source = (HOST_PROGRAMS / "secrets-env.py").read_text().rsplit("\nmain()", 1)[0]
    exec(compile(source, "secrets-env.py", "exec"), names)
    gates: dict[str, Any] = {"__name__": "parts"}
    exec(compile(text("gates.py"), "gates.py", "exec"), gates)
    written = names["content"]("/", [[key, "text", value] for key, value in values.items()])
    file = Path(f"/tmp/hostwright-env-{os.getpid()}")
    file.write_text(written, newline="")
    try:
        assert gates["env_of"](file) == values
    finally:
        file.unlink()


def test_command_has_the_environment(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# made\nSHOP_A='b c'\nSHOP_B=\"it's \\$5\"\n")
    gate = command("sh", "-c", 'echo "$SHOP_A, $SHOP_B in $PWD"', contains=f"b c, it's $5 in {tmp_path}\n")
    passes(tmp_path, gate, env_file=str(tmp_path / "env"), directory=str(tmp_path))


# --- All together ------------------------------------------------------------------------------------------


def test_all_run_at_once_and_are_counted(tmp_path: Path) -> None:
    outcome = passes(tmp_path, *[command("sleep", "0.5", seconds=9)] * 8)
    assert outcome.out.startswith("shop: 8 gates passed in ")
    assert outcome.took < LONG


def test_what_follows_a_failure_is_not_kept_waiting(tmp_path: Path, site: Site) -> None:
    site.pages = [(503, "not yet")]
    outcome = fails(
        tmp_path,
        "shop: 1 of 3 gates failed after ",
        command("false", seconds=1),
        page(site, seconds=30),
        command("true"),
    )
    assert outcome.took < 3.5
    assert (
        f"web: http http://127.0.0.1:{site.server_port}/health?a=1 was not waited for: "
        "so far status 503: not yet" in outcome.err
    )


def test_as_json(tmp_path: Path) -> None:
    outcome = run(
        tmp_path, command("true"), command("cat", str(tmp_path / "secret"), contains="x"), options=("--json",)
    )
    found = json.loads(outcome.out)
    assert (outcome.code, outcome.err, found["passed"]) == (1, "", False)
    assert [one["status"] for one in found["gates"]] == ["passed", "failed"]
    assert found["gates"][1]["findings"][0]["saw"] == "exit code 0, but: ***"


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"kind": "htpp"}, "gates.0: kind is 'htpp'; write one of running, http"),
        ({"kind": "http"}, "gates.0 (http): 'url' is missing"),
        ({"kind": "http", "url": "https://x/"}, "url is 'https://x/'; write an address like http://127.0.0.1"),
        ({"kind": "http", "url": "http://x/", "statsu": 1}, "there is no 'statsu'; known here: contains"),
        ({"kind": "tcp", "host": "x", "port": "22"}, "port is '22'; write a whole number"),
        ({"kind": "tcp", "host": "x", "port": True}, "port is True; write a whole number"),
        ({"kind": "sql", "query": "SELECT 1"}, "gates.0 (sql) needs 'database' in the spec"),
        ({"kind": "running"}, "needs 'socket' and 'programs', or 'units'"),
        ({"kind": "log", "pattern": "(", "files": ["/x"]}, "pattern is '('; write a regular expression"),
        ({"kind": "log", "pattern": "x"}, "needs 'files' or 'units'"),
        ({"kind": "count", "path": "/x", "what": "bytes"}, "what is 'bytes'; write 'files' or 'lines'"),
        ([], "gates.0: kind is None"),
    ],
)  # fmt: skip
def test_bad_gates(tmp_path: Path, gate: Any, said: str) -> None:
    outcome = run(tmp_path, gate)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_bad_specs(tmp_path: Path) -> None:
    assert run(tmp_path).code == 2  # no gate at all proves nothing
    assert "there is no 'gate'" in run(tmp_path, command("true"), gate=[]).err
    assert run(tmp_path, command("true"), options=("--since", "soon")).code == 2
    for words in ([], ["/no/such/file"], ["-", "x"], [str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-I", "-c", text("gates.py"), *words],
            input="{",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("gates: ")
        assert "Traceback" not in done.stderr
