"""
Run every fixture of `tests/operations/` and `tests/facts/`, one test for each file.

A fixture is a YAML file in `tests/operations/<module>.<operation>/` or `tests/facts/<module>.<Fact>/`,
in the form of pyinfra-testing. Where a command runs a program of `files/host/`, the fixture shows the
program as `<its file name>` instead of its text.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
KINDS = {"operations": "operation", "facts": "fact"}


def fixtures() -> list[str]:
    """Name every fixture file, relative to `tests/`."""
    return sorted(
        str(path.relative_to(TESTS)) for kind in KINDS for path in (TESTS / kind).glob("*.*/*.yaml")
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run all fixtures once; the text of what went wrong for each, "" where nothing did."""
    report = tmp_path_factory.mktemp("fixtures") / "report.xml"
    program = Path(__file__).with_name("fixture_process.py")
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
        f"--junit-xml={report}", "-o", "python_classes=operation:* fact:*", "-o", "addopts=", str(program),
    ]  # fmt: skip
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=TESTS.parent, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode not in (0, 1):
        pytest.fail(f"the fixtures did not run (exit {done.returncode}):\n{done.stdout}\n{done.stderr}")
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        problems = [
            f"{part.get('message')}\n{part.text}"
            for part in case
            if part.tag in ("failure", "error", "skipped")
        ]
        if (output := case.findtext("system-out")) is not None and problems:
            problems.append(output)
        where = str(case.get("classname")).removeprefix("tests.operations.fixture_process.")
        found[f"{where}::{case.get('name')}"] = "\n".join(problems)
    return found


def test_there_are_fixtures() -> None:
    assert fixtures(), "no fixture was found: the runner would pass with nothing to run"


@pytest.mark.parametrize("path", fixtures())
def test_fixture(path: str, outcomes: dict[str, str]) -> None:
    kind, thing, file = Path(path).parts
    # The names that pyinfra-testing gives to its tests.
    prefix = f"facts.{thing}" if kind == "facts" else "_".join(thing.rsplit(".", 1))
    test = f"{KINDS[kind]}:{thing}::test_{prefix}_{Path(file).stem}"
    assert test in outcomes, f"{path} did not run as {test}; these ran: {sorted(outcomes)}"
    if outcomes[test]:
        pytest.fail(outcomes[test], pytrace=False)
