"""What a run asks of a host's own programs, outside of pyinfra's operations."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from typing import Any

import gevent
from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.ssh import SSHConnector

import connectors
from facts.script import HOST_PROGRAMS, script, text
from operations.supervisor_text import render
from operations.trial.run import HostRun

HELD = 3
# What trial-over.sh says of a run that is not on trial any more.
STAYS, NEVER_ON_TRIAL = 5, 6
UNIT_FILES = HOST_PROGRAMS.parent / "units"
UNITS = ("hostwright-undo.service", "hostwright-watch.service")
TRIAL = "/var/lib/hostwright/trial"
# What the undo is made of; all of it lies on the host while a run is on trial.
PROGRAMS = (
    "trial-undo.py", "trial-watch.py", "trial-cluster.sh", "trial-roles.sh",
    "swap-apply.sh", "swap-remove.sh", "swap-state.sh", "gates.py",
)  # fmt: skip
# However dead the network is, an undo over the open connection is given up after this; the host does it then.
UNDO_SECONDS = 1200
# Over a dead network even the opening of a channel waits, for an hour, and pyinfra's timeout begins after it.
ANSWER_SECONDS = 30
DEAD = (OSError, EOFError, SSHException, PyinfraError)


def _run(
    run: HostRun, command: StringCommand, timeout: int | None = None, *, locking: bool = False
) -> tuple[int, list[str], list[str]]:
    """
    Run a command; return a code that `exit N` on the host gave, and what it said on both ways.

    + locking: whether it changes nothing but the lock, default False
    """
    # pyinfra tells success from failure only: the code is asked for by name.
    arguments = {**run.arguments, "_timeout": timeout} if timeout else run.arguments
    wrapped = StringCommand(command, "&& echo hostwright-exit=0 || echo hostwright-exit=$?")
    wrapped.connector_arguments = command.connector_arguments
    aside = connectors.aside() if locking else nullcontext()
    with gevent.Timeout(timeout + 5 if timeout else None, exception=TimeoutError), aside:
        _, output = run.host.run_shell_command(wrapped, **{**command.connector_arguments, **arguments})
    lines = output.stdout_lines
    code = -1
    if lines and lines[-1].startswith("hostwright-exit="):
        code = int(lines.pop().partition("=")[2])
    return code, lines, output.stderr_lines


def take(run: HostRun) -> tuple[int, str]:
    """Take the lock; return 0, or HELD or another code with what the host said."""
    about = run.about
    over = "ssh" if isinstance(run.host.connector, SSHConnector) else "any"
    code, said, wrong = _run(
        run,
        script("run-lock.sh", "take", about.id, run.seconds, about.owner, about.purpose, over),
        locking=True,
    )
    for line in wrong if code == 0 else ():
        logger.info(f"{run.host.print_prefix}{line}")
    for line in said:
        if line.startswith("quiet "):
            # What was read while another run may have been at work does not count.
            connectors.expire(run.host, int(line.split()[1]) / 1e9)
    words = said[-1].split() if said else []
    if len(words) == 3:
        run.session = {"pid": int(words[1]), "started": words[2]}
    return code, " ".join(wrong) or "the lock could not be taken"


def beat(run: HostRun) -> bool:
    """Tell the host that this run is alive; return whether it heard."""
    try:
        beat_of = script("run-lock.sh", "beat", run.about.id)
        code, _, _ = _run(run, beat_of, timeout=max(5, run.seconds // 5), locking=True)
    except DEAD:
        return False
    return code == 0


def release(run: HostRun, line: str) -> None:
    """Give the lock back, with a line for the ledger."""
    try:
        code, _, wrong = _run(
            run, script("run-lock.sh", "release", run.about.id, stdin=line + "\n"), timeout=30
        )
    except DEAD as error:
        code, wrong = -1, [str(error)]
    if code != 0:
        logger.warning(f"{run.host.print_prefix}the lock is left: {' '.join(wrong)}; it expires by itself")


def arm(run: HostRun) -> str:
    """Have the host record itself and arm its undo; return what went wrong, "" for nothing."""
    given: dict[str, Any] = {
        "run": run.record(),
        "session": run.session,
        "seconds": run.seconds,
        "touched": run.touched.sent(),
        "programs": {name: text(name) for name in {*PROGRAMS, *run.touched.programs()}},
        "units": {
            **{unit: (UNIT_FILES / unit).read_text(encoding="utf-8") for unit in UNITS},
            "hostwright-undo.timer": render("hostwright-undo.timer.j2", seconds=run.seconds) + "\n",
        },
    }
    code, _, wrong = _run(run, script("trial-snapshot.py", stdin=json.dumps(given)))
    return "" if code == 0 else "\n".join(wrong) or "the host could not be recorded; nothing was changed"


def ask(run: HostRun, command: StringCommand, timeout: int) -> tuple[int, str, str]:
    """Run a command that changes nothing; return its exit code, and what it said on both ways."""
    code, said, wrong = _run(run, command, timeout, locking=True)
    return code, "\n".join(said), "\n".join(wrong)


def answers(run: HostRun) -> bool:
    """Return whether the host can be reached over the open connection."""
    try:
        return _run(run, StringCommand("true"), timeout=ANSWER_SECONDS)[0] == 0
    except DEAD:
        return False


def undo(run: HostRun, reason: str) -> None:
    """Have the host undo this run, and tell what it did; where it cannot be reached it does so by itself."""
    prefix = run.host.print_prefix
    logger.error(f"{prefix}not confirmed ({reason}): going back to what worked")
    began = time.monotonic()
    command = StringCommand(
        f"if [ -d {TRIAL} ]; then", script_of_trial("undo", run.about.id, reason),
        "; else", script("trial-over.sh", run.about.id), "; fi",
    )  # fmt: skip
    code = -1
    said: list[str] = []
    wrong = ["it does not answer"]
    try:
        if answers(run):
            code, said, wrong = _run(run, command, timeout=UNDO_SECONDS)
    except DEAD as error:
        wrong = [str(error) or type(error).__name__]
    for line in [*said, *wrong]:
        logger.error(f"{prefix}  {line}")
    seconds = time.monotonic() - began
    if code == 0:
        logger.error(
            f"{prefix}the host is as it was before this run ({seconds:.1f} s); history.py shows all runs"
        )
    elif code == STAYS:
        logger.error(
            f"{prefix}its answer was lost, but this run stays on this host; history.py shows all runs"
        )
    elif code == NEVER_ON_TRIAL:
        release(run, run.line("failed", reason=reason))
        return
    elif code == 2:
        logger.error(f"{prefix}the host is back but NOT healthy: see above; then: deploy.py, or rollback.py")
    elif said:
        logger.error(
            f"{prefix}the host could not go back entirely; it tries again by itself in {run.seconds} s; "
            "watch it with: journalctl -fu hostwright-undo"
        )
    else:
        logger.error(
            f"{prefix}the host cannot be reached; it goes back by itself, within {run.seconds} s at most; "
            "then history.py shows what it did"
        )
        return
    release(run, "")


def script_of_trial(verb: str, *arguments: str) -> StringCommand:
    """Build the command that runs a verb of the program that lies on the host while it is on trial."""
    words = [QuoteString(one) for one in arguments]
    return StringCommand(f"python3 -I {TRIAL}/trial-undo.py", verb, *words)
