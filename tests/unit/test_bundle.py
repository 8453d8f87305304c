"""Bundles: what differs, and what the host's program writes, checks and removes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facts.bundle import BundleFields
from facts.script import text
from operations import bundle

TIMER = f"{bundle.UNITS}/report.timer"
FILES = [bundle.File(TIMER, "[Timer]\n"), bundle.File("/etc/report/a", "a\n", mode="0600")]
UNITS = [bundle.Unit("report.timer", reads=["/etc/report/a"])]


def as_declared() -> BundleFields:
    files: dict[str, dict[str, str | None]] = {
        one.path: {
            "sha256": hashlib.sha256(one.text.encode()).hexdigest(), "mode": one.mode, "owner": "root:root",
        }
        for one in FILES
    }  # fmt: skip
    return BundleFields(files=files, units={"report.timer": ""})


def test_nothing_differs() -> None:
    found = bundle.difference(FILES, UNITS, as_declared())
    assert found == bundle.Difference([], [], [], [])


@pytest.mark.parametrize("key", ["sha256", "mode", "owner"])
def test_a_file_that_differs_is_written_and_who_reads_it_started(key: str) -> None:
    now = as_declared()
    now["files"]["/etc/report/a"][key] = "another"
    assert bundle.difference(FILES, UNITS, now) == bundle.Difference(
        ["/etc/report/a"], [], ["report.timer"], []
    )


def test_a_unit_that_is_not_as_declared_is_started_and_nothing_written() -> None:
    now = as_declared()
    now["units"]["report.timer"] = "not active"
    assert bundle.difference(FILES, UNITS, now) == bundle.Difference([], [], ["report.timer"], [])


def test_what_is_not_declared_goes_units_first_ended() -> None:
    now = as_declared()
    for path in (f"{bundle.UNITS}/report.service", "/etc/report/b"):
        now["files"][path] = {}
    found = bundle.difference(FILES, UNITS, now)
    assert (found.remove, found.gone) == (
        ["/etc/report/b", f"{bundle.UNITS}/report.service"],
        ["report.service"],
    )
    assert (found.write, found.start) == ([], [])


def apply(**given: Any) -> subprocess.CompletedProcess[str]:
    whole: dict[str, Any] = {
        "files": {},
        "checks": [],
        "write": [],
        "remove": [],
        "gone": [],
        "start": [],
        "answers": {},
    }
    return subprocess.run(
        [sys.executable, "-I", "-c", text("bundle.py"), "apply"],
        input=json.dumps({**whole, **given}), capture_output=True, text=True, check=False,
    )  # fmt: skip


def about(body: str) -> dict[str, str]:
    return {"text": body, "mode": "0640", "user": "root", "group": "root"}


def test_files_are_checked_whole_before_one_of_them_is_replaced(tmp_path: Path) -> None:
    one, two = tmp_path / "etc/one", tmp_path / "etc/two"
    one.parent.mkdir()
    one.write_text("before\n")
    files = {str(one): about("after\n"), str(two): about("bad\n")}
    # Each is seen beside the others, as it is to be.
    check = ["sh", "-c", 'cd "$(dirname "$1")"; cat one two; ! grep -q bad two', "sh", f"@{one}"]
    done = apply(files=files, checks=[check], write=[*files])
    assert done.returncode == 1
    assert "sh refuses what is declared; nothing was changed:\nafter\nbad\n" in done.stderr
    assert (one.read_text(), two.exists()) == ("before\n", False)

    files[str(two)] = about("good\n")
    done = apply(files=files, checks=[check], write=[*files])
    assert (done.returncode, done.stderr) == (0, "")
    assert (one.read_text(), two.read_text(), two.stat().st_mode & 0o777) == ("after\n", "good\n", 0o640)


def test_what_is_the_same_already_is_checked_and_not_written(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("same\n")
    before = one.stat()
    assert (
        apply(files={str(one): about("same\n")}, checks=[["grep", "-q", "same", f"@{one}"]]).returncode == 0
    )
    assert one.stat() == before
