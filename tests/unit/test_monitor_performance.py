"""monitor_performance, run here: it needs nothing but Python, and not root."""

from __future__ import annotations

import subprocess

from facts.script import text

PROGRAM = text("monitor-performance.py")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/env", "-C", "/")


def look(*before: str) -> list[str]:
    done = subprocess.run(
        [*before, "/usr/bin/python3", "-I", "-", "0.2"],
        input=PROGRAM, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("  ")[0] for line in done.stdout.splitlines()]


def test_one_screen() -> None:
    labels = look()
    assert labels[1:5] == ["CPU", "busiest", "memory", "swap"]
    assert "disk /" in labels
    assert len(labels) < 40


def test_whoever_may_not_see_all_sees_the_rest() -> None:
    assert look(*NOBODY)[1:5] == ["CPU", "busiest", "memory", "swap"]


def test_it_begins_as_a_program_of_the_host() -> None:
    assert PROGRAM.startswith("#!/usr/bin/python3 -I\n")
