# The guard of configuration files: how it stands, what it has recorded, and what a run accepts.
# usage: config-guard-control.py state      prints JSON: its files, whether it runs, what is not accepted
#        config-guard-control.py changes    prints JSON for people: who changed what, when, and the difference
#        config-guard-control.py apply      JSON on standard input: files (path to text and mode)
#        config-guard-control.py remove     ends it, and removes all but what it has recorded
#        config-guard-control.py accept     takes what is there now for what is meant
import contextlib
import glob
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

from config_guard_common import (
    DECLARATION,
    PLACES,
    UNIT,
    Watched,
    by_whom,
    covered,
    read_json,
    records,
    run_at_work,
    started,
    unaccepted,
    write_file,
)
from config_guard_files import changed, difference

PROGRAM = "/usr/local/lib/hostwright/config-guard/config-guard.py"
UNITS = "/etc/systemd/system"
WANTED = f"{UNITS}/multi-user.target.wants/{UNIT}"
FILES = (DECLARATION, PROGRAM, f"{UNITS}/{UNIT}")
SECONDS = 10


def control(*words):
    done = subprocess.run(["systemctl", "--quiet", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"systemctl {' '.join(words)}: {done.stderr.strip()}")


def described(path):
    found = os.lstat(path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    owner = f"{found.st_uid}:{found.st_gid}"
    return {"sha256": digest, "mode": f"{found.st_mode & 0o7777:04o}", "owner": owner}


def runs():
    """Return whether the guard runs with what is installed, now and after a boot."""
    words = ["systemctl", "show", "-p", "ActiveState,NeedDaemonReload", UNIT]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    about = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return about["ActiveState"] == "active" and about["NeedDaemonReload"] == "no" and os.path.exists(WANTED)


def compared(watched, manifest):
    """Return path → what differs from what was accepted, in words, and the lines or keys of it."""
    now = watched.scan(manifest["key"])
    found = {}
    for path in sorted(now.keys() | manifest["files"].keys()):
        before, after = manifest["files"].get(path), now.get(path)
        if words := changed(before, after):
            found[path] = {"changed": words, "difference": difference(before, after)}
    return found


def waiting(watched):
    """Return path → why it is not as it was accepted, in words that hold no secret; {} where all is."""
    manifest = read_json(watched.places["manifest"])
    if manifest is None:
        return {watched.places["manifest"]: "nothing was accepted yet"}
    found = {path: ", ".join(one["changed"]) for path, one in compared(watched, manifest).items()}
    for record in unaccepted(manifest, records(watched.places)):
        found[record["path"]] = f"changed {by_whom(record)}"
    if manifest["patterns"] != watched.patterns():
        found.setdefault(DECLARATION, "what is watched has changed")
    return found


def state(watched):
    there = {path: described(path) for path in FILES if os.path.isfile(path)}
    on = bool(there) and runs()
    return {"files": there, "runs": on, "waiting": waiting(watched) if there else {}}


def changes(watched):
    """Return all that people are told: whether it runs, what differs, and every change of others."""
    settle(watched)
    manifest = read_json(watched.places["manifest"])
    ready = read_json(watched.places["run"] + "/ready") or {}
    found = {
        "installed": os.path.exists(DECLARATION),
        "runs": os.path.exists(DECLARATION) and runs(),
        "problem": ready.get("problem"),
        "accepted": None if manifest is None else manifest["accepted"],
        "differs": {} if manifest is None else compared(watched, manifest),
        "changes": [],
        "all": [],
    }
    everything = [{**one, "told": by_whom(one)} for one in records(watched.places)]
    if manifest is not None:
        found["changes"] = unaccepted(manifest, everything)
    found["all"] = everything[-200:]
    for path, about in found["differs"].items():
        about["app"] = watched.app_of(path)
        about["put_back"] = manifest["files"].get(path) is not None and not covered(path, watched.kept())
    return found


def apply(given):
    for path, about in given["files"].items():
        write_file(path, about["text"])
        os.chmod(path, int(about["mode"], 8))
    control("--no-reload", "enable", UNIT)
    control("daemon-reload")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(Watched().places["run"] + "/ready")
    control("restart", UNIT)
    # What is changed from here on is to be seen.
    until(Watched().places["run"] + "/ready")


def until(path):
    deadline = time.monotonic() + SECONDS
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            sys.exit(f"{UNIT} does not answer; look at: journalctl -u {UNIT}")
        time.sleep(0.02)


def remove():
    import shutil  # not for `state`, which every run asks

    if os.path.exists(f"{UNITS}/{UNIT}"):
        control("disable", "--now", UNIT)
    for path in FILES:
        if os.path.lexists(path):
            os.unlink(path)
    for path in ("/usr/local/lib/hostwright/config-guard", "/var/lib/hostwright/config-guard", PLACES["run"]):
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(PLACES["run"] + ".started")
    for path in glob.glob(f"{UNITS}/{UNIT}.d"):
        shutil.rmtree(path)
    control("daemon-reload")


def settle(watched):
    """Have the guard write down what it has seen so far."""
    ack = watched.places["run"] + "/ack"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ack)
    guard = read_json(watched.places["run"] + "/ready")
    if guard is None or started(guard["pid"]) != guard["started"]:
        return  # whatever it had seen it has written down, and what it has not is found by comparison
    os.kill(guard["pid"], signal.SIGUSR1)
    until(ack)


def accept(watched):
    """
    Take what is there now for what is meant, but for what others than the run changed while it ran.

    What they did before it began is forgiven: whoever runs a deploy has been told of it.
    """
    settle(watched)
    places = watched.places
    manifest = read_json(places["manifest"])
    began = os.stat(places["lock"]).st_mtime if run_at_work(places) else time.time()
    new = {
        "key": os.urandom(32).hex() if manifest is None else manifest["key"],
        "accepted": time.time(),
        "since": began if manifest is not None else time.time(),
        "patterns": watched.patterns(),
    }
    last = {one["path"]: one for one in records(places) if one["at"] > began}
    others = {path: one for path, one in last.items() if "run" not in one and manifest is not None}
    new["files"] = {path: one for path, one in watched.scan(new["key"]).items() if path not in others}
    for path, record in others.items():
        print(f"NOT accepted: {path}: changed {by_whom(record)}, and not by this run; see config_changes.py")
        if path in manifest["files"]:
            new["files"][path] = manifest["files"][path]
    by_path = {
        one["path"]: one for one in ([] if manifest is None else unaccepted(manifest, records(places)))
    }
    for path, record in by_path.items():
        mine = "run" in last.get(path, {})
        if path not in others and not mine and manifest["files"].get(path) != new["files"].get(path):
            print(f"accepted as it is now: {path}: changed {by_whom(record)}")
    write_file(places["manifest"], json.dumps(new, sort_keys=True))


def main(verb, declaration=DECLARATION):
    os.umask(0o022)
    watched = Watched(declaration)
    if verb == "state":
        print(json.dumps(state(watched)))
    elif verb == "changes":
        print(json.dumps(changes(watched)))
    elif verb == "apply":
        apply(json.load(sys.stdin))
    elif verb == "remove":
        remove()
    elif os.path.exists(declaration):
        accept(watched)
    else:
        sys.exit("there is no guard of configuration files here; call config_guard.watching first")


if __name__ == "__main__":
    main(*sys.argv[1:])
