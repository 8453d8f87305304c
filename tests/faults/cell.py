"""One cell of the matrix: break the upgrade once, wait until the host is whole, and deploy again."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from tests.faults import controller
from tests.faults.machine import Machine, MatrixError
from tests.faults.upgrade import TRIAL_SECONDS
from tests.faults.verdict import Verdict, judge, lost

# Seconds from the start of the run to the fault; and beyond the trial's deadline, for the undo itself.
UNTIL_FAULT = 600
UNTIL_WHOLE = 180
UNTIL_ENDED = 90
POLL = 0.5
# Made by who makes tables, so that it has what every table of the app has.
PROBE = """
set role rec_io_db_owner;
create table if not exists fault_probe (n int primary key);
insert into fault_probe select generate_series(-500, 0) on conflict do nothing;
"""
# Each row is told of only when the database has it for good.
WRITER = """
n=0
while :; do
    n=$((n + 1))
    if runuser -u postgres -- psql -XAtq -d rec_io_db -c "insert into fault_probe values ($n)"
    then echo $n; fi
    sleep 1
done
"""
Seen = dict[str, Any]


@dataclass(frozen=True)
class References:
    """What host/look.py says of release 1 and of release 2, by its mode."""

    one: dict[str, Seen]
    two: dict[str, Seen]

    def judge(self, seen: Seen, mode: str) -> Verdict:
        return judge(seen, self.one[mode], self.two[mode])


@dataclass
class Outcome:
    """
    What one cell came to.

    + kind, index, after: the fault, and the operation after which it came
    + release: what the host was at once it was whole, None where it never was
    + seconds: from the fault until then
    + problems: all that was not as it must be; none where the cell is good
    + notes: what else was seen
    """

    kind: str
    index: int
    after: str = ""
    release: int | None = None
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def writer(machine: Machine, told: Path) -> Iterator[None]:
    """Write a row a second on the host, and note here which ones the database has acknowledged."""
    with told.open("ab") as file:
        process = subprocess.Popen(
            machine.inside("sh", "-c", WRITER), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def rows(*told: Path) -> list[int]:
    """Return the acknowledged rows; the last line may be cut off."""
    found = set(range(-500, 1))
    for path in told:
        if path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]
            found |= {int(line) for line in lines if line.isdigit()}
    return sorted(found)


def prepare(machine: Machine) -> None:
    """Have the table of rows that must never be lost."""
    machine.do("runuser", "-u", "postgres", "--", "psql", "-Xq", "-d", "rec_io_db", "-c", PROBE)


def whole(machine: Machine, references: References, until: float, log: Path) -> tuple[Verdict, float]:
    """Look until the host is whole or time is up; return the last verdict and when it was seen; log all."""
    verdict = Verdict(None, ["the host could not be looked at"])
    while True:
        seen_at = time.time()
        try:
            verdict = references.judge(machine.look("quick"), "quick")
            if verdict.release is not None:
                verdict = references.judge(machine.look("full"), "full")
        except (MatrixError, subprocess.TimeoutExpired, ValueError) as error:
            verdict = Verdict(None, [f"the host could not be looked at: {error}"])
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{seen_at:.1f} {verdict.release} {verdict.problems}\n")
        if verdict.release is not None:
            return verdict, seen_at
        if time.time() > until:
            # What to show of a bad cell is all of it.
            return references.judge(machine.look("full"), "full"), seen_at
        time.sleep(POLL)


def restore(machine: Machine, references: References, log: Path) -> Seen:
    """Take the host back to release 1, all of it running."""
    machine.restore()
    verdict, _ = whole(machine, references, time.time() + UNTIL_WHOLE, log)
    if verdict.release != 1:
        raise MatrixError(f"{machine.name} is not at release 1 to begin with: {verdict.problems}")
    return machine.look("full")


def run(
    machine: Machine,
    references: References,
    project: Path,
    kind: str,
    index: int,
    place: Path,
    *,
    fresh: bool = True,
    again: bool = True,
) -> Outcome:
    """
    Run one cell.

    + machine: whose disk is saved at release 1
    + references: of this machine
    + project: the copy that has release 2
    + kind: "kill", "cut", "power" or "fail"; "unwatched" is "kill" without the host's own undo
    + index: after which operation
    + place: empty directory for what is said
    + fresh: whether the saved disk is put back first, default True; else the host is at release 1 already
    + again: whether a plain deploy.py must then succeed, default True

    Raises MatrixError where nothing can be said of the cell.
    """
    outcome = Outcome(kind, index)
    before = restore(machine, references, place / "looks.log") if fresh else machine.look("full")
    told = place / "rows"
    with writer(machine, told):
        broken = controller.start(
            project, machine.name, place / "broken.log",
            HOSTWRIGHT_FAULT=f"{kind}:{index}", HOSTWRIGHT_FAULT_NOTE=str(place / "note"),
        )  # fmt: skip
        try:
            struck = _struck(broken, place / "note")
            outcome.after = struck["after"]
            if kind == "power":
                lab.boot(machine.name)
            _until_whole(machine, references, outcome, struck["at"], place / "looks.log")
            if kind == "cut":
                _heal(machine, struck["at"])
            if not broken.ended(UNTIL_ENDED):
                outcome.notes.append("the controller was killed")
        finally:
            broken.ended(0)
    _check(machine, references, outcome, before, told)
    if again and outcome.release is not None:
        deploy_again(machine, references, outcome, project, place)
        acknowledged = rows(told)
        outcome.problems += lost(machine.look("quick"), acknowledged, before["data"]["rows"]["trades"])
    return outcome


def _struck(broken: controller.Controller, note: Path) -> dict[str, Any]:
    end = time.monotonic() + UNTIL_FAULT
    while not note.exists():
        if time.monotonic() > end or (broken.process.poll() is not None and not note.exists()):
            raise MatrixError(f"the run ended, or hung, before the fault:\n{broken.text()[-3000:]}")
        time.sleep(0.05)
    struck: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    return struck


def _until_whole(machine: Machine, references: References, outcome: Outcome, at: float, log: Path) -> None:
    verdict, seen_at = whole(machine, references, at + TRIAL_SECONDS + UNTIL_WHOLE, log)
    outcome.release, outcome.seconds = verdict.release, seen_at - at
    outcome.problems += verdict.problems


def _heal(machine: Machine, at: float) -> None:
    """Mend the cable, but only once the host has had to help itself."""
    time.sleep(max(0.0, at + TRIAL_SECONDS + 3 - time.time()))
    lab.heal(machine.name)


def _check(machine: Machine, references: References, outcome: Outcome, before: Seen, told: Path) -> None:
    """Look once more, now that the run has ended: nothing may have come apart again, and no row be lost."""
    verdict, _ = whole(machine, references, time.time() + 10, told.with_name("looks.log"))
    if verdict.release is None:
        outcome.problems += [f"later: {problem}" for problem in verdict.problems]
    elif outcome.release is not None and verdict.release != outcome.release:
        outcome.notes.append(f"release {verdict.release} once the run had ended")
    if not machine.logs_in():
        outcome.problems.append("nobody can log in")
    acknowledged = rows(told)
    outcome.problems += lost(machine.look("quick"), acknowledged, before["data"]["rows"]["trades"])


def deploy_again(
    machine: Machine, references: References, outcome: Outcome, project: Path, place: Path
) -> None:
    """Run a plain deploy.py: it must end well, with the host at release 2."""
    again = controller.start(project, machine.name, place / "again.log")
    if not again.ended(UNTIL_FAULT):
        outcome.problems.append("the next deploy.py does not end")
    elif again.process.returncode != 0:
        outcome.problems.append(f"the next deploy.py ends with {again.process.returncode}")
    verdict, _ = whole(machine, references, time.time() + 15, place / "looks.log")
    if verdict.release != 2:
        outcome.problems += [f"after the next deploy.py: {problem}" for problem in verdict.problems] or [
            "after the next deploy.py the host is at release 1"
        ]
