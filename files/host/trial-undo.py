# The protocol of a trial on its host: a change confirms itself or is undone, without network and controller.
# usage: trial-undo.py undo RUN|- REASON    as RUN's controller, or as the host itself whatever is on trial
#        trial-undo.py confirm RUN          the ledger's line on standard input
#        trial-undo.py restore SNAPSHOT [SCOPE...]
# Lies in /var/lib/hostwright/trial while a run is unconfirmed. That directory is the trial: renaming it to
# trial.confirmed confirms, renaming it to trial.over ends the undo; both are one step.
import contextlib
import fcntl
import glob
import json
import os
import shutil
import subprocess
import sys
import time

from trial_databases import beyond_return
from trial_processes import end_run, say
from trial_records import HOME, TRIAL, mark, note, prune, read_trial, unlock
from trial_restore import HERE, Restore, write

OVER = TRIAL + ".over"  # what is left of it, to be removed
UNDO_OF_STEPS = HOME + "/undo/*/armed"
# What the controller says where nothing had failed.
STOPPED = "the run was stopped"


def disarm():
    for unit in ("hostwright-undo.timer", "hostwright-watch.service"):
        subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)


def finish_confirmed():
    """Do what follows a confirmation; again where it was cut off."""
    with open(TRIAL + ".confirmed/confirmed.json", encoding="utf-8") as file:
        line = json.load(file)
    back = line["outcome"] == "rolled back"
    mark(line["releases"], "good", keep=back)
    mark({app: {"release": one} for app, one in line.get("left", {}).items()}, "left", "rolled back by hand")
    note(line)
    prune()
    disarm()
    # In one step: half of it would be taken for a confirmation that is still to be finished.
    os.rename(TRIAL + ".confirmed", OVER)
    shutil.rmtree(OVER, ignore_errors=True)


def confirm(run):
    line = json.load(sys.stdin)
    trial = read_trial()
    if trial is None or trial["run"]["id"] != run:
        say("too late: the host has undone this run already; run again")
        return 1
    if os.path.exists(TRIAL + "/undoing"):
        say("too late: the host is undoing this run; wait for it, then run again")
        return 1
    write(TRIAL + "/confirmed.json", json.dumps(line))
    os.rename(TRIAL, TRIAL + ".confirmed")
    subprocess.run(["sync", HOME], check=False)
    # From here on it stays, whatever becomes of the records; the next run makes up for them.
    try:
        finish_confirmed()
    except OSError as error:
        disarm()
        say(f"confirmed, but not recorded yet: {error}")
    return 0


def undo(run_id, reason):
    by = "host" if run_id == "-" else "controller"
    trial = read_trial()
    if trial is None or (by == "controller" and trial["run"]["id"] != run_id):
        say("nothing is on trial; nothing to undo")
        return 0
    began = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(TRIAL + "/room")
    write(TRIAL + "/undoing", by)
    end_run(trial, by)
    undo_steps()
    beyond = beyond_return(trial["run"])
    restore = Restore(trial["snapshot"], notes=TRIAL + "/changed.json", but=set(beyond))
    whole = restore.run()
    for line in restore.said:
        say(line)
    checks = []
    for _, about in sorted(restore.manifest["apps"].items()):
        if about["current"] is not None:
            passed, text = gates(about["root"])
            checks.append(passed)
            say(text)
    stay = [
        f"{app} stays at its new release: migration {', '.join(names)} breaks the one before; mend forward, "
        f"or restore the dump in {trial['snapshot']}/dumps/{app}"
        for app, names in beyond.items()
    ]
    failed = [*restore.failed, *stay, *(["the gates of what was restored"] if not all(checks) else [])]
    for problem in failed:
        say(f"not restored: {problem}")
    if not whole and attempt() < 5:
        # The service is started again, and the trial stays until all of it is done.
        return 1
    was = {app: about["current"] for app, about in restore.manifest["apps"].items()}
    run = trial["run"]
    tried = {app: about for app, about in run["releases"].items() if about["release"] != was.get(app)}
    # A rollback's release was good before it, and what kept it from being confirmed lies elsewhere.
    if tried and not run.get("left"):
        mark(tried, "bad" if by == "controller" and reason != STOPPED else "cut off", reason)
    seconds = round(time.monotonic() - began, 1)
    note({
        **run, "ended": time.time(), "outcome": "undone in part" if failed else "undone", "by": by,
        "reason": reason, "undone": restore.said, "failed": failed, "undo_seconds": seconds, "current": was,
    })  # fmt: skip
    os.rename(TRIAL, OVER)
    subprocess.run(["sync", HOME], check=False)
    shutil.rmtree(OVER, ignore_errors=True)
    unlock(run["id"])
    prune()
    say(f"undone in {seconds} s")
    # Last: it may be what runs us.
    disarm()
    return 0 if not failed else 2


def undo_steps():
    """Have steps that were armed by themselves go back now: their timers would do so into a later run."""
    for armed in sorted(glob.glob(UNDO_OF_STEPS)):
        # What fails here is put back below all the same.
        subprocess.run(["sh", os.path.dirname(armed) + "/undo"], capture_output=True, check=False)


def attempt():
    """Count the attempts of this trial's undo."""
    path = TRIAL + "/attempts"
    count = 1
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            count += int(file.read())
    write(path, str(count))
    return count


def gates(root):
    """Run the gates of the release that is current again."""
    spec = root + "/current/gates.json"
    if not os.path.exists(spec):
        return True, f"{root}: no gates came with the release that is back"
    done = subprocess.run(
        [sys.executable, "-I", HERE + "/gates.py", spec], capture_output=True, text=True, check=False
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def main():
    os.umask(0o077)
    verb, *rest = sys.argv[1:]
    with open(HOME + "/.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(OVER, ignore_errors=True)
        if os.path.exists(TRIAL + ".confirmed"):
            # A disk that is full must not keep what is on trial now from going back.
            try:
                finish_confirmed()
            except OSError as error:
                say(f"an earlier confirmation is not recorded yet: {error}")
        if verb == "confirm":
            return confirm(*rest)
        if verb == "undo":
            return undo(*rest)
        restore = Restore(rest[0], scopes=set(rest[1:]) if rest[1:] else None)
        whole = restore.run()
        for line in [*restore.said, *(f"not restored: {problem}" for problem in restore.failed)]:
            say(line)
        return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
