"""
The backups of a host's apps as they are scheduled: programs, declarations, units and timers.

usage: backup-schedule.py state              prints JSON: what is there, and how far each app is
       backup-schedule.py apply              JSON on standard input: files (path to text), timers, gone
       backup-schedule.py first SECONDS APP...   start the first backup of each, and see how far it comes
"""

import glob
import hashlib
import json
import os
import subprocess
import sys
import time

PROGRAM = "/usr/local/lib/hostwright/backup/backup.py"
CONFIGS = "/etc/hostwright/backup"
UNITS = "/etc/systemd/system"
WANTS = f"{UNITS}/timers.target.wants"
BACKUPS = "/var/backups"
OURS = [PROGRAM, f"{CONFIGS}/*.json", *(f"{UNITS}/hostwright-{one}-*" for one in ("backup", "prove"))]


def described(path):
    found = os.lstat(path)
    if not os.path.isfile(path) or os.path.islink(path):
        return {"sha256": None, "mode": None, "owner": None}
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {
        "sha256": digest,
        "mode": f"{found.st_mode & 0o7777:04o}",
        "owner": f"{found.st_uid}:{found.st_gid}",
    }


def active(timers):
    if not timers:
        return {}
    words = ["systemctl", "show", "-p", "Id,ActiveState,NeedDaemonReload", *timers]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    blocks = [
        dict(line.split("=", 1) for line in one.splitlines() if "=" in line) for one in text.split("\n\n")
    ]
    return {
        one["Id"]: one["ActiveState"] == "active" and one["NeedDaemonReload"] == "no" for one in blocks if one
    }


def state():
    files = {path: described(path) for pattern in OURS for path in glob.glob(pattern)}
    timers = [os.path.basename(path) for path in files if path.endswith(".timer")]
    apps = [os.path.basename(path)[: -len(".json")] for path in files if path.startswith(CONFIGS)]
    on = active(timers)
    return {
        "files": files,
        "timers": {one: on.get(one, False) and os.path.exists(f"{WANTS}/{one}") for one in timers},
        "backed_up": [app for app in apps if glob.glob(f"{BACKUPS}/{app}/[0-9]*Z/backup.json")],
    }


def write(path, text, mode):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.hostwright-new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), 0, 0)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.rename(aside, path)


def apply(given):
    for timer in given["gone"]:
        if os.path.exists(f"{UNITS}/{timer}"):
            control("disable", "--now", timer)
    for path in given["remove"]:
        if os.path.lexists(path):
            os.unlink(path)
            print(f"removed {path}")
    for path, about in given["files"].items():
        write(path, about["text"], int(about["mode"], 8))
    if given["timers"]:
        control("--no-reload", "enable", *given["timers"])
    control("daemon-reload")
    if given["timers"]:
        # Started anew they reckon from what their files say now.
        control("restart", *given["timers"])


def control(*words):
    done = subprocess.run(["systemctl", "--quiet", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"systemctl {' '.join(words)}: {done.stderr.strip()}")


def first(seconds, apps):
    """Start what has no backup yet; one that takes longer goes on by itself."""
    apps = [app for app in apps if not glob.glob(f"{BACKUPS}/{app}/[0-9]*Z/backup.json")]
    for app in apps:
        control("start", "--no-block", f"hostwright-backup-{app}.service")
    deadline = time.monotonic() + seconds
    for app in apps:
        words = [
            sys.executable,
            "-I",
            PROGRAM,
            "wait",
            app,
            "make",
            str(max(0.0, deadline - time.monotonic())),
        ]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        if found["running"]:
            print(f"{app}: the first backup is being made; backup.py --data list=1 shows it when it is whole")
        elif found["ok"]:
            print("\n".join(found["said"]))
        else:
            print(f"{app}: THE FIRST BACKUP FAILED; the deploy stays. " + " ".join(found["said"]))


if __name__ == "__main__":
    if sys.argv[1] == "state":
        print(json.dumps(state()))
    elif sys.argv[1] == "apply":
        apply(json.load(sys.stdin))
    else:
        first(float(sys.argv[2]), sys.argv[3:])
