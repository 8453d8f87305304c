"""The one thing that health.py changes: it restarts a service that stays failed, and notes why."""

import contextlib
import fcntl
import json
import os
import subprocess
import time

from health_files import say

RUNTIME = "/run/hostwright"
TRIAL = "/var/lib/hostwright/trial"
ACTIONS = "/var/log/hostwright/health.jsonl"
KEPT_LINES = 1000
HOUR = 3600
RESTART_SECONDS = 90


def run_holds_lock():
    """Return whether a run of hostwright is at work here, or what it changed is not confirmed."""
    if os.path.exists(TRIAL):
        return True
    try:
        with open(f"{RUNTIME}/lock", encoding="utf-8") as file:
            fields = dict(line.split("=", 1) for line in file.read().splitlines() if "=" in line)
    except FileNotFoundError:
        return False
    # As run-lock.sh has it: held by a login that has ended, or that said nothing for too long.
    session = fields.get("session", "").split()
    if len(session) == 2 and started(session[0]) != session[1]:
        return False
    try:
        with (
            open(f"{RUNTIME}/heard", encoding="utf-8") as file,
            open("/proc/uptime", encoding="utf-8") as uptime,
        ):
            age = float(uptime.read().split()[0]) - int(file.read())
        return age <= int(fields["expires"])
    except (OSError, ValueError, KeyError):
        return True  # not whole: better nothing than something beside a run


def started(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def busy(flag):
    """Return why nothing may be done to an app: a run, or its maintenance; None where something may."""
    if run_holds_lock():
        return "a run of hostwright"
    if flag is not None and os.path.exists(flag):
        return "maintenance"
    return None


def actions_left(times, an_hour):
    return max(0, an_hour - sum(1 for at in times if time.time() - HOUR < at <= time.time()))


def restart(app, about, service, why):
    """Restart one service while no run can begin; return whether that succeeded, None where it may not be."""
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(f"{RUNTIME}/.guard", "a", encoding="utf-8") as guard:
        # A run takes its lock with this one held: it waits for the restart, or there is none.
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if busy(about.get("flag")) is not None:
            return None
        words = command(about, service)
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=RESTART_SECONDS, check=False)
            ok, said = done.returncode == 0, (done.stdout + done.stderr).strip()
        except subprocess.TimeoutExpired:
            ok, said = False, f"no end after {RESTART_SECONDS} s"
        # A run that read the host before must not believe what it read: it looks at this directory's time.
        with open(f"{RUNTIME}/.health", "w", encoding="utf-8"):
            pass
        os.unlink(f"{RUNTIME}/.health")
    result = "restarted" if ok else f"the restart FAILED ({said[-300:]})"
    say(f"{why}; {result}")
    note({"at": time.time(), "app": app, "service": service, "why": why, "ok": ok, "did": " ".join(words)})
    return ok


def command(about, service):
    if about["manager"] == "supervisor":
        return ["supervisorctl", "-c", about["config"], "restart", service]
    return ["systemctl", "restart", about["units"][service]]


def note(line):
    """Add a line to the log of what was done, which keeps its newest lines."""
    os.makedirs(os.path.dirname(ACTIONS), mode=0o755, exist_ok=True)
    with open(ACTIONS, "a+", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(json.dumps(line, sort_keys=True) + "\n")
        file.flush()
        file.seek(0)
        lines = file.readlines()
    if len(lines) > KEPT_LINES:
        with contextlib.suppress(OSError):
            with open(f"{ACTIONS}.new", "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o640)
                file.writelines(lines[-KEPT_LINES // 2 :])
            os.rename(f"{ACTIONS}.new", ACTIONS)
