# What a dead run left running on its host, and how it ends: a part of trial-undo.py and trial-watch.py.
import contextlib
import os
import signal
import subprocess
import time

# What must not be killed half way: it has a database of its own to leave whole.
PATIENT = ("apt-get", "dpkg", "apt", "unattended-upgr")
PATIENCE = 900
# What does not even end when it is killed hangs in the kernel, and is not waited for.
KILLING = 60


def say(line):
    # Whoever listened may have gone: that is no reason to stop half way.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


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
