# What a host remembers of its runs: the ledger, which releases are good, snapshots. A part of trial-undo.py.
import fcntl
import json
import os
import shutil
import time

from trial_restore import write

HOME = "/var/lib/hostwright"
TRIAL = HOME + "/trial"
RELEASES = HOME + "/releases.json"
LEDGER = "/var/log/hostwright/ledger.jsonl"
LOCK = "/run/hostwright/lock"
KEPT_SNAPSHOTS = 10
KEPT_DUMPS = 3


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


def unlock(run):
    try:
        with open(LOCK, encoding="utf-8") as file:
            if f"run={run}\n" in file.read():
                os.unlink(LOCK)
    except FileNotFoundError:
        pass


def read_trial():
    try:
        with open(TRIAL + "/trial.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
