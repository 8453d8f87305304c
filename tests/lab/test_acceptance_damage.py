"""A test of the tests: damage a deployed host in many ways, and the acceptance suite names each of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.lab.damages import AS_POSTGRES, BATCHES, CONTROL, CRASHED, Damage
from tests.lab.playbook import PROJECT, LabHost, shell, ssh

TEMPLATE = "deployed"
PYINFRA = Path(sys.executable).with_name("pyinfra")
INVENTORY = "inventories/lab.py"
DEPLOY_SECONDS, SUITE_SECONDS = 1200, 900
CRASH_EVERY = 8


@dataclass(frozen=True)
class Verdict:
    """What one run of the suite came to, by test without the host's name in its id."""

    rc: int
    tests: frozenset[str]
    failed: frozenset[str]
    output: str


def environ(host: LabHost, user: str = "root") -> dict[str, str]:
    """Return this process's environment, with the inventory reduced to one host."""
    return {**os.environ, "HOSTWRIGHT_LAB_HOSTS": host.name, "HOSTWRIGHT_LAB_USER": user}


def accept(host: LabHost, directory: Path, *options: str, user: str = "root") -> Verdict:
    """Run the acceptance suite against one host, as a person would."""
    report = directory / "acceptance.xml"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/acceptance",
            "--inventory", INVENTORY, f"--junitxml={report}", *options,
        ],
        cwd=PROJECT, env=environ(host, user), text=True, capture_output=True, timeout=SUITE_SECONDS,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    output = f"{done.stdout}\n{done.stderr}"
    assert report.exists(), output
    cases = list(ElementTree.parse(report).iter("testcase"))
    names = {_without_host(case.attrib["name"], host): case for case in cases}
    failed = {key for key, case in names.items() if {"failure", "error"} & {child.tag for child in case}}
    return Verdict(done.returncode, frozenset(names), frozenset(failed), output)


def _without_host(label: str, host: LabHost) -> str:
    return label.replace(f"[{host.name}-", "[").replace(f"[{host.name}]", "")


def deploy(host: LabHost) -> None:
    """Take the host to its declared state with the real deploy file."""
    done = subprocess.run(
        [str(PYINFRA), "-y", INVENTORY, "deploy.py"],
        cwd=PROJECT, env=environ(host), text=True, capture_output=True, timeout=DEPLOY_SECONDS,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def expected(damages: tuple[Damage, ...], tests: frozenset[str]) -> set[str]:
    """Return the names of all tests that must fail; a name that no test has would prove nothing."""
    found: set[str] = set()
    for wanted in (one for damage in damages for one in damage.fails):
        matching = tests & {wanted, f"{wanted}[rec_io]"}
        assert matching, f"no test is called {wanted}"
        found |= matching
    return found


pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def test_sound_host_is_accepted(lab_host: LabHost, tmp_path: Path) -> None:
    """Nothing is found where nothing is wrong; every service is restarted on the way."""
    verdict = accept(lab_host, tmp_path)
    assert (verdict.rc, verdict.failed) == (0, frozenset()), verdict.output


@pytest.mark.parametrize("batch", list(BATCHES))
def test_damage_is_named(lab_host: LabHost, tmp_path: Path, batch: str) -> None:
    """Exactly the tests of what was damaged fail; a deploy, and undoing what is not its own, repairs it."""
    damages = BATCHES[batch]
    options = ["--settle", "2", *([] if batch == "restarts" else ["--no-disruptive"])]
    try:
        for damage in damages:
            shell(lab_host, damage.command)
        verdict = accept(lab_host, tmp_path, *options)
    finally:
        for damage in damages:
            ssh(lab_host, damage.repair)
        deploy(lab_host)
    assert verdict.rc == 1, verdict.output
    assert verdict.failed == expected(damages, verdict.tests), verdict.output


def test_crash_is_named(lab_host: LabHost, tmp_path: Path) -> None:
    """A service that crashed meanwhile fails, though it is RUNNING again by the time it is looked at."""
    ended = threading.Event()

    def crash() -> None:
        # Between any two looks at least once, however slowly the suite gets to the first one.
        while not ended.wait(CRASH_EVERY):
            shell(lab_host, f"kill -KILL $({CONTROL} pid {CRASHED})")

    crashing = threading.Thread(target=crash)
    crashing.start()
    try:
        settle = str(2 * CRASH_EVERY)
        verdict = accept(lab_host, tmp_path, "--settle", settle, "-k", "test_service_is_running_and_stays")
    finally:
        ended.set()
        crashing.join()
    assert verdict.failed == {f"test_service_is_running_and_stays[rec_io-{CRASHED}]"}, verdict.output


def test_repaired_host_is_accepted_through_sudo(lab_host: LabHost, tmp_path: Path) -> None:
    """After all that, a login that is not root finds nothing wrong, and what was not proven is shown."""
    verdict = accept(lab_host, tmp_path, "--no-disruptive", "--settle", "2", user="admin")
    assert (verdict.rc, verdict.failed) == (0, frozenset()), verdict.output
    assert "not proven" in verdict.output
    assert "test_restart_leaves_configuration_as_it_was" in verdict.output


def test_password_is_not_shown(lab_host: LabHost, tmp_path: Path) -> None:
    """Not even a failure shows the application's password, with every local variable and log on display."""
    password = shell(lab_host, "cat /etc/rec_io/secrets/db_password")
    shell(lab_host, f"{AS_POSTGRES} -c 'alter role rec_io_user nologin'")
    options = ("-vv", "--showlocals", "--tb=long", "--log-level=DEBUG", "-k", "test_database or test_app")
    verdict = accept(lab_host, tmp_path, *options)
    shell(lab_host, f"{AS_POSTGRES} -c 'alter role rec_io_user login'")
    assert "test_app_credentials_work[rec_io]" in verdict.failed
    # Not `in`: an assertion would show the password that it looked for.
    assert verdict.output.count(password) + (tmp_path / "acceptance.xml").read_text().count(password) == 0
