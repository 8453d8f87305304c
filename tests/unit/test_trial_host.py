"""The host's own side of a trial, with its paths below a directory and a systemctl that only takes notes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from facts.script import text
from operations.trial.commands import PROGRAMS
from operations.trial.touched import Touched

RUN, LATER = "20260131T120000Z-aaaaaa", "20260131T130000Z-bbbbbb"
TOLD = ("systemctl", "runuser", "sync", "ufw", "pg_lsclusters", "dpkg-query")


class Host:
    """A host below a directory: its programs, and what one app has there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "var/lib/hostwright"
        self.trial = self.home / "trial"
        self.ledger = root / "var/log/hostwright/ledger.jsonl"
        self.bin = root / "bin"
        self.old, self.new = root / "etc/old", root / "etc/new"
        for place in ("var/lib", "etc/systemd/system", "run/hostwright", "bin"):
            (root / place).mkdir(parents=True)
        for name in TOLD:
            # Nothing is active, nothing was there.
            says = "echo LoadState=not-found" if name == "systemctl" else ":"
            when = f'[ ! -d {self.trial} ] || echo " on trial"'
            self.command(
                name,
                f'echo "{name} $*$({when})" >>{root}/told\n'
                f'[ "$2" != is-active ] || exit 3\n[ "$1" != show ] || {says}',
            )
        self.old.write_text("old\n")
        self.lock(RUN)

    def command(self, name: str, body: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def told(self) -> str:
        return (self.root / "told").read_text()

    def lock(self, run: str) -> None:
        (self.root / "run/hostwright/lock").write_text(f"run={run}\n")

    def here(self, program: str) -> str:
        found = program
        for place in ("/var/lib/hostwright", "/var/log/hostwright", "/run/hostwright", "/etc/systemd/system"):
            found = found.replace(place, f"{self.root}{place}")
        return found

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        path = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": path},
        )

    def arm(self, run: str = RUN, **more: Any) -> subprocess.CompletedProcess[str]:
        touched = Touched()
        touched.add([str(self.old), str(self.new)], scope="shop")
        given = {
            "run": {"id": run, "releases": {"shop": {"release": "c3"}}, **more},
            "session": None, "seconds": 300, "touched": touched.sent(),
            "programs": {name: self.here(text(name)) for name in PROGRAMS}, "units": {},
        }  # fmt: skip
        program = self.here(text("trial-snapshot.py"))
        return self.run(sys.executable, "-I", "-c", program, stdin=json.dumps(given))

    def take(self, run: str, *, expires: int) -> subprocess.CompletedProcess[str]:
        program = self.here(text("run-lock.sh"))
        return self.run(
            "sh", "-c", program, "run-lock.sh", "take", run, str(expires), "somebody", "deploy.py", "any"
        )

    def verb(self, *words: str, stdin: str = "", place: str = "trial") -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-I", f"{self.home}/{place}/trial-undo.py", *words, stdin=stdin)

    def change(self) -> None:
        self.old.write_text("changed\n")
        self.new.write_text("new\n")

    def confirm(self, run: str = RUN) -> subprocess.CompletedProcess[str]:
        line = {"id": run, "outcome": "confirmed", "releases": {"shop": {"release": "c3"}}}
        return self.verb("confirm", run, stdin=json.dumps(line))

    def over(self, run: str = RUN) -> subprocess.CompletedProcess[str]:
        return self.run("sh", "-c", self.here(text("trial-over.sh")), "trial-over.sh", run)

    def releases(self) -> Any:
        return json.loads((self.home / "releases.json").read_text())

    def outcomes(self) -> list[str]:
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [json.loads(line)["outcome"] for line in lines]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_not_confirmed_goes_back(host: Host) -> None:
    done = host.arm()
    assert done.returncode == 0, done.stderr
    assert (host.trial / "room").stat().st_blocks * 512 >= 8 << 20
    host.change()
    done = host.verb("undo", RUN, "a gate failed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.old.read_text() == "old\n"
    assert not host.new.exists()
    assert not (host.root / "run/hostwright/lock").exists()
    assert host.outcomes() == ["undone"]
    assert [path.name for path in host.home.glob("trial*")] == []
    assert host.over().returncode == 0


def test_a_lock_does_not_look_old_because_the_clock_was_set(host: Host) -> None:
    lock = host.root / "run/hostwright/lock"
    lock.unlink()
    assert host.take(RUN, expires=300).returncode == 0
    os.utime(lock, (0, 0))
    os.utime(lock.with_name("heard"), (0, 0))
    assert host.take(LATER, expires=300).returncode == 3


def test_a_lock_without_a_sign_of_life_is_taken_over(host: Host) -> None:
    lock = host.root / "run/hostwright/lock"
    lock.unlink()
    host.take(RUN, expires=0)
    time.sleep(2.1)
    done = host.take(LATER, expires=300)
    assert (done.returncode, "cut off" in done.stderr) == (0, True)


def test_the_timer_runs_before_there_is_a_trial(host: Host) -> None:
    """Cut off right after it began, a trial without a timer would wait for the next boot."""
    host.arm()
    assert "systemctl restart hostwright-undo.timer\n" in host.told()
    assert "systemctl restart hostwright-watch.service on trial\n" in host.told()


def test_what_made_a_deploy_fail_makes_its_release_bad(host: Host) -> None:
    host.arm()
    host.change()
    host.verb("undo", RUN, "a gate failed")
    assert host.releases()["shop"]["c3"]["state"] == "bad"


def test_what_made_a_rollback_fail_says_nothing_of_the_release_it_went_to(host: Host) -> None:
    host.arm()
    assert host.confirm().returncode == 0
    host.lock(LATER)
    host.arm(LATER, left={"shop": "d4"})
    host.verb("undo", LATER, "a gate failed")
    assert host.outcomes() == ["confirmed", "undone"]
    assert host.releases()["shop"]["c3"]["state"] == "good"


def test_what_is_confirmed_stays(host: Host) -> None:
    host.arm()
    host.change()
    assert host.confirm().returncode == 0
    assert (host.old.read_text(), host.new.read_text()) == ("changed\n", "new\n")
    assert host.outcomes() == ["confirmed"]
    assert [path.name for path in host.home.glob("trial*")] == []
    assert host.over().returncode == 5


def test_a_confirmation_holds_where_the_disk_is_too_full_to_record_it(host: Host) -> None:
    host.arm()
    host.change()
    # A directory in the place of the ledger: it cannot be written, by root neither.
    host.ledger.mkdir(parents=True)
    done = host.confirm()
    assert (done.returncode, done.stdout[:13]) == (0, "confirmed, bu")
    assert host.over().returncode == 5
    host.ledger.rmdir()
    done = host.verb("undo", "-", "the run was cut off", place="trial.confirmed")
    assert done.returncode == 0, done.stderr
    assert host.outcomes() == ["confirmed"]
    assert host.old.read_text() == "changed\n"
    assert [path.name for path in host.home.glob("trial*")] == []


def test_an_unrecorded_confirmation_keeps_no_later_run_from_going_back(host: Host) -> None:
    host.arm()
    host.ledger.mkdir(parents=True)
    host.confirm()
    host.lock(LATER)
    assert host.arm(LATER).returncode == 0
    host.change()
    host.verb("undo", LATER, "a gate failed")
    assert host.old.read_text() == "old\n"


def test_a_run_that_lost_its_lock_changes_nothing(host: Host) -> None:
    host.lock(LATER)
    done = host.arm()
    assert done.returncode == 1
    assert "lost its lock" in done.stderr
    assert not host.trial.exists()
    assert host.over().returncode == 6


def test_an_undo_that_waits_to_be_begun_again_does_not_meet_the_next_trial(host: Host) -> None:
    host.arm()
    told = host.told()
    assert "systemctl stop hostwright-undo.service" in told
    assert told.index("stop hostwright-undo.service") < told.index("restart hostwright-undo.timer")
    unit = (Path(__file__).parents[2] / "files/units/hostwright-undo.service").read_text()
    assert "RestartPreventExitStatus=2" in unit


def test_steps_that_were_armed_by_themselves_go_back_first(host: Host) -> None:
    host.arm()
    host.change()
    step = host.home / "undo/ufw"
    step.mkdir(parents=True)
    (step / "armed").touch()
    (step / "undo").write_text(f"rm {step}/armed; cp {host.old} {host.root}/seen\n")
    host.verb("undo", "-", "the run was cut off")
    assert (host.root / "seen").read_text() == "changed\n"
    assert not (step / "armed").exists()
    assert host.old.read_text() == "old\n"


def test_the_snapshot_of_what_is_on_trial_is_never_pruned(host: Host) -> None:
    host.arm()
    host.ledger.mkdir(parents=True)
    host.confirm()
    host.ledger.rmdir()
    for day in range(10, 22):
        (host.home / f"snapshots/202602{day}T000000Z-cccccc").mkdir()
    # Of a controller whose clock is behind: its name sorts before all others.
    early = "20200101T000000Z-dddddd"
    host.lock(early)
    host.arm(early)
    host.change()
    assert host.verb("undo", "-", "the run was cut off").returncode == 0
    assert host.old.read_text() == "old\n"


def test_a_listener_that_is_gone_does_not_stop_an_undo(host: Host) -> None:
    host.arm()
    host.change()
    command = f"{sys.executable} -I {host.trial}/trial-undo.py undo {RUN} reason | :"
    host.run("sh", "-c", command)
    assert host.outcomes() == ["undone"]
    assert not host.trial.exists()
