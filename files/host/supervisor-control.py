# Look at, update and restart the programs of one app's own supervisor.
# usage: supervisor-control.py state|status UNIT CONFIG
#        supervisor-control.py update|restart|stop UNIT CONFIG SECONDS [OPTION...]
# SECONDS is how long services may take to stop and then to be RUNNING, unless --timeout says otherwise.
# Sent along for each run of a playbook; installed as APP-restart and APP-status for people.
import json
import os
import subprocess
import sys
import time

from started_files import changed_since
from supervisor_reasons import declared, read_programs, reason, record
from supervisor_rpc import NO_ANSWER, FaultError, supervisor_at
from supervisor_waits import (
    GONE,
    FailedError,
    autostarted,
    full_name,
    processes,
    refuse_slow,
    wait_gone,
    wait_running,
    wanted,
)

VERB, UNIT, CONFIG = sys.argv[1:4]
APP = UNIT.rsplit(".", 1)[0]
SOCKET = f"/run/{APP}/supervisor.sock"
STARTED = f"/run/{APP}.started"
# What each program was started with; the unit makes it anew whenever the supervisor starts.
PROGRAMS = f"/run/{APP}.programs"
# For one answer; none waits for a program to start or stop.
ANSWER_SECONDS = 60


def connect(patience=0.0):
    """Return supervisor's own interface; wait for a supervisor that was started just now."""
    deadline = time.monotonic() + patience
    while True:
        rpc = supervisor_at(SOCKET, ANSWER_SECONDS)
        try:
            rpc.getState()
            return rpc
        except PermissionError:
            raise FailedError(f"{SOCKET} may not be used by this login; use sudo") from None
        except NO_ANSWER as error:
            if time.monotonic() > deadline:
                raise FailedError(
                    f"{UNIT} does not answer on {SOCKET} ({error}); look at: journalctl -u {UNIT}"
                ) from None
        time.sleep(0.1)


def reread(rpc):
    try:
        return rpc.reloadConfig()[0]
    except FaultError as fault:
        raise FailedError(f"supervisor refuses {CONFIG}: {fault}; nothing was changed") from None


def unit_state():
    keys = "ActiveState,UnitFileState,NeedDaemonReload"
    shown = subprocess.run(
        ["systemctl", "show", "-p", keys, UNIT], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def state():
    """Print all that a run has to know, as JSON."""
    unit = unit_state()
    fresh = changed_since(STARTED) == []
    found = {
        "active": unit["ActiveState"] == "active",
        "enabled": unit["UnitFileState"] == "enabled",
        "fresh": fresh and unit["NeedDaemonReload"] == "no",
        "answers": False,
        "pending": [],
        "programs": {},
    }
    try:
        # All at once: each question makes supervisor wake up, and take a connection.
        _, lists, configured, infos = supervisor_at(SOCKET, ANSWER_SECONDS).several(
            "getState", "reloadConfig", "getAllConfigInfo", "getAllProcessInfo"
        )
    except NO_ANSWER:
        return found
    added, changed, removed = lists[0]
    meant = autostarted(configured)
    found["answers"] = True
    found["pending"] = sorted({*added, *changed, *removed})
    found["programs"] = {full_name(info): info["statename"] for info in infos if full_name(info) in meant}
    return found


def update(deadline):
    """
    Restart what changed, start what is new or has died, stop what is gone, and nothing else; say why.

    Where one does not stop in time, all others are brought up none the less: no reason for them to be down.
    """
    rpc = connect(patience=15)
    before, now = read_programs(PROGRAMS + "/*.conf"), declared(CONFIG)
    added, changed, removed = reread(rpc)
    # All are asked to stop before any is waited for: the pause is the slowest one's, not the sum.
    for group in [*changed, *removed]:
        rpc.stopProcessGroup(group, False)
    slow = wait_gone(rpc, {*changed, *removed}, deadline)
    changed, removed = ([one for one in groups if one not in slow.values()] for groups in (changed, removed))
    for group in [*changed, *removed]:
        rpc.removeProcessGroup(group)
    for group in [*changed, *added]:
        rpc.addProcessGroup(group)
    meant = wanted(rpc)
    found = processes(rpc)
    dead = {
        name: info
        for name, info in found.items()
        # Supervisor starts those of new groups itself.
        if info["statename"] in GONE and name in meant and info["group"] not in {*changed, *added}
    }
    for name in dead:
        start(rpc, name)
    record(PROGRAMS, [*changed, *added, *removed], now)
    for name in [*changed, *added, *removed]:
        word = "restarted" if name in changed else "started" if name in added else "stopped"
        old = before.get(name, {}) if name in changed else None
        print(f"{name} {word}: {reason(old, now.get(name))}")
    for name, info in dead.items():
        print(f"{name} started: it was {info['statename']} ({info['spawnerr'] or info['description']})")
    refuse_slow(APP, slow, [*changed, *added, *dead])
    wait_running(rpc, deadline)
    left = len(found.keys() - {*changed, *added, *dead})
    if 0 < left < len(found):
        print(f"{left} of {len(found)} services of {APP} were left as they run")


def start(rpc, name):
    try:
        rpc.startProcess(name, False)
    except FaultError as fault:
        # It came up by itself meanwhile, or cannot: then waiting for it tells why.
        if not str(fault).startswith(("ALREADY_STARTED", "SPAWN_ERROR", "NO_FILE", "NOT_EXECUTABLE")):
            raise


def restart(services, timeout):
    if not services:
        for command in (["reset-failed", UNIT], ["restart", UNIT]):
            done = subprocess.run(["systemctl", *command], capture_output=True, text=True)
            if done.returncode != 0 and command[0] == "restart":
                raise FailedError(f"{done.stderr.strip()}; look at: journalctl -u {UNIT}")
        rpc = connect(patience=15)
        reread(rpc)
        # From here on: systemd has waited for the stop, for as long as the unit grants.
        return wait_running(rpc, time.monotonic() + timeout)
    rpc = connect()
    deadline = time.monotonic() + timeout
    unknown = sorted(set(services) - processes(rpc).keys())
    if unknown:
        known = ", ".join(processes(rpc))
        raise FailedError(f"{APP} has no service {', '.join(unknown)}; it has {known}; nothing was restarted")
    for name in services:
        try:
            rpc.stopProcess(name, False)
        except FaultError as fault:
            # It has stopped already, or still is at it since an earlier try.
            if not str(fault).startswith("NOT_RUNNING"):
                raise
    slow = wait_gone(rpc, {name.split(":")[0] for name in services}, deadline)
    others = [name for name in services if name not in slow]
    for name in others:
        start(rpc, name)
    refuse_slow(APP, slow, others)
    return wait_running(rpc, deadline, services)


def stop(deadline):
    """Stop all programs, and leave the supervisor; `update` starts them again."""
    if unit_state()["ActiveState"] in {"inactive", "failed"}:
        return
    rpc = connect(patience=15)
    groups = {info["group"] for info in rpc.getAllProcessInfo() if info["statename"] not in GONE}
    for group in sorted(groups):
        rpc.stopProcessGroup(group, False)
    refuse_slow(APP, wait_gone(rpc, groups, deadline), [])


def status():
    """Print the table; return whether every declared program runs."""
    rpc = connect()
    found = processes(rpc)
    width = max(map(len, found), default=0)
    for name, info in sorted(found.items()):
        print(f"{name:{width}}  {info['statename']:8}  {info['description']}")
    meant = wanted(rpc)
    running = [name for name in meant if name in found and found[name]["statename"] == "RUNNING"]
    print(f"{APP}: {len(running)} of {len(meant)} services RUNNING")
    return len(running) == len(meant)


def arguments():
    import argparse  # which takes a while, and `state` takes no arguments

    about = {
        "restart": f"Stop {APP}, start it with {CONFIG}, wait until every service runs, show the table.",
        "status": f"Show the services of {APP}; exit code 1 if one that should run does not.",
    }
    parser = argparse.ArgumentParser(prog=f"{APP}-{VERB}", description=about.get(VERB))
    rest = sys.argv[4:]
    if VERB in {"restart", "update", "stop"}:
        seconds = int(rest.pop(0))
        parser.add_argument(
            "--timeout",
            type=int,
            default=seconds,
            metavar="SECONDS",
            help=f"how long services may take to stop and to be RUNNING, default {seconds}",
        )
    if VERB == "restart":
        parser.add_argument(
            "service", nargs="*", help="restart only these; default all, with a fresh env file"
        )
    return parser.parse_args(rest)


def main():
    if VERB == "state":
        print(json.dumps(state()))
        return 0
    given = arguments()
    if VERB == "update":
        update(time.monotonic() + given.timeout)
        return 0
    if VERB == "stop":
        stop(time.monotonic() + given.timeout)
        return 0
    if VERB == "restart":
        if os.geteuid() != 0:
            raise FailedError("it needs root; use sudo")
        try:
            restart(given.service, given.timeout)
        except FailedError:
            if os.path.exists(SOCKET):
                status()
            raise
    return 0 if status() else 1


try:
    sys.exit(main())
except FailedError as error:
    print(f"{APP}: {error}", file=sys.stderr)
    sys.exit(1)
