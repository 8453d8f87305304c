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
import signal
import subprocess
import sys
import time

from trial_restore import HERE, Restore, write

HOME = "/var/lib/hostwright"
TRIAL = HOME + "/trial"
OVER = TRIAL + ".over"  # what is left of it, to be removed
UNDO_OF_STEPS = HOME + "/undo/*/armed"
RELEASES = HOME + "/releases.json"
LEDGER = "/var/log/hostwright/ledger.jsonl"
LOCK = "/run/hostwright/lock"
KEPT_SNAPSHOTS = 10
KEPT_DUMPS = 3
# What must not be killed half way: it has a database of its own to leave whole.
PATIENT = ("apt-get", "dpkg", "apt", "unattended-upgr")
PATIENCE = 900
# What does not even end when it is killed hangs in the kernel, and is not waited for.
KILLING = 60
DATABASE = 60
# What the controller says where nothing had failed.
STOPPED = "the run was stopped"


def say(line):
    # Whoever listened may have gone: that is no reason to stop half way.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


# --- what the run left running


def of_run(run):
    """Return pid → name of the processes that the run's commands started, but for those that lead to us."""
    tag, ours = f"HOSTWRIGHT_RUN={run}".encode(), ancestors(os.getpid())
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                tagged = tag in file.read().split(b"\0")
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile
        if tagged and int(pid) not in ours:
            found[int(pid)] = name
    return found


def ancestors(pid):
    chain = set()
    while pid > 1:
        chain.add(pid)
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            break
    return chain


def end_run(trial, by):
    """End the dead run's login and what it still does here, so that nothing changes the host behind us."""
    session = trial["session"]
    # Its own login asks us: then nothing else can come through it, and ending it would end us.
    if by != "controller" and session and alive(session):
        os.kill(session["pid"], signal.SIGTERM)
    migrations = subprocess.run(
        ["systemctl", "list-units", "--plain", "--no-legend", "--full", "hostwright-migrate-*.service"],
        capture_output=True, text=True, check=False,
    ).stdout.split("\n")  # fmt: skip
    for unit in [line.split()[0] for line in migrations if line.strip()]:
        subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)
    began = time.monotonic()
    while left := of_run(trial["run"]["id"]):
        waited = time.monotonic() - began
        patient = any(name in PATIENT for name in left.values())
        if not patient or waited > PATIENCE:
            beyond = waited - (PATIENCE if patient else 0)
            late = beyond > 5
            if beyond > KILLING:
                say(f"{', '.join(sorted(set(left.values())))} cannot be ended; going back all the same")
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.2 if waited < 5 else 1)


def alive(session):
    try:
        with open(f"/proc/{session['pid']}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19] == session["started"]
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- records


def note(line):
    """Add one line to the ledger, whole and on the disk."""
    os.makedirs(os.path.dirname(LEDGER), mode=0o755, exist_ok=True)
    with open(LEDGER, "a", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def mark(releases, state, why="", keep=False):
    """Remember that releases are good, bad, cut off or left; `keep` those good since when they were."""
    known = {}
    if os.path.exists(RELEASES):
        with open(RELEASES, encoding="utf-8") as file:
            known = json.load(file)
    for app, about in releases.items():
        # One that was good and was only cut off is as good as before.
        if state == "cut off" and known.get(app, {}).get(about["release"], {}).get("state") == "good":
            continue
        before = known.setdefault(app, {}).get(about["release"], {})
        at = before.get("at", time.time()) if keep else time.time()
        known[app][about["release"]] = {**before, **about, "state": state, "at": at, "why": why}
    write(RELEASES, json.dumps(known, indent=1, sort_keys=True))


def prune():
    # Named by their controllers' clocks, which may be wrong: what is on trial needs its own snapshot.
    needed = os.path.basename((read_trial() or {}).get("snapshot", ""))
    snapshots = sorted({*os.listdir(HOME + "/snapshots")} - {needed}, reverse=True)
    for name in snapshots[KEPT_SNAPSHOTS:]:
        shutil.rmtree(f"{HOME}/snapshots/{name}")
    dumped = [name for name in snapshots if os.path.exists(f"{HOME}/snapshots/{name}/dumps")]
    for name in dumped[KEPT_DUMPS:]:
        shutil.rmtree(f"{HOME}/snapshots/{name}/dumps", ignore_errors=True)


def disarm():
    for unit in ("hostwright-undo.timer", "hostwright-watch.service"):
        subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)


def unlock(run):
    try:
        with open(LOCK, encoding="utf-8") as file:
            if f"run={run}\n" in file.read():
                os.unlink(LOCK)
    except FileNotFoundError:
        pass


# --- the three verbs


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


def read_trial():
    try:
        with open(TRIAL + "/trial.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


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
    if tried:
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


def beyond_return(run):
    """Return the apps whose earlier release cannot live with what a migration of this run has done."""
    found = {}
    for app, about in run["releases"].items():
        wanted = about.get("irreversible")
        if not wanted:
            continue
        ask = "select name from public.schema_migrations"
        began = time.monotonic()
        while True:
            done = subprocess.run(
                ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", wanted["database"], "-c", ask],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            # After a boot the server may still be starting.
            if done.returncode == 0 or time.monotonic() - began > DATABASE:
                break
            time.sleep(1)
        had = {name.removesuffix(".sql") for name in done.stdout.split()}
        # Where the database does not say, the code that fits the migration is the safer one.
        names = sorted(set(wanted["names"]) & had) if done.returncode == 0 else wanted["names"]
        if names:
            found[app] = names
    return found


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
