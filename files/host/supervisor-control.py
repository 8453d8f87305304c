# Look at, update and restart the programs of one app's own supervisor.
# usage: supervisor-control.py state|update|restart|status UNIT CONFIG [OPTION...]
# Sent along for each run of a playbook; installed as APP-restart and APP-status for people.
import argparse
import json
import os
import subprocess
import sys
import time
import xmlrpc.client

VERB, UNIT, CONFIG = sys.argv[1:4]
APP = UNIT.rsplit(".", 1)[0]
SOCKET = f"/run/{APP}/supervisor.sock"
STARTED = f"/run/{APP}.started"
GONE = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}
LOG_LINES = 10


class FailedError(Exception):
    """What went wrong and what to do, for whoever reads it at night."""


def connect(patience=0.0):
    """Return supervisor's own interface; wait for a supervisor that was started just now."""
    try:
        from supervisor.xmlrpc import SupervisorTransport
    except ImportError:
        raise FailedError("supervisor is not installed; install the package supervisor") from None
    deadline = time.monotonic() + patience
    while True:
        proxy = xmlrpc.client.ServerProxy(
            "http://127.0.0.1", transport=SupervisorTransport(None, None, "unix://" + SOCKET)
        )
        try:
            proxy.supervisor.getState()
            return proxy.supervisor
        except PermissionError:
            raise FailedError(f"{SOCKET} may not be used by this login; use sudo") from None
        except (OSError, xmlrpc.client.Error) as error:
            if time.monotonic() > deadline:
                raise FailedError(
                    f"{UNIT} does not answer on {SOCKET} ({error}); look at: journalctl -u {UNIT}"
                ) from None
        time.sleep(0.1)


def full_name(info):
    return info["name"] if info["group"] == info["name"] else f"{info['group']}:{info['name']}"


def processes(rpc):
    return {full_name(info): info for info in rpc.getAllProcessInfo()}


def wanted(rpc):
    """Return the programs that are declared to run; the parsed configuration must be fresh."""
    return {full_name(info) for info in rpc.getAllConfigInfo() if info["autostart"]}


def reread(rpc):
    try:
        return rpc.reloadConfig()[0]
    except xmlrpc.client.Fault as fault:
        raise FailedError(f"supervisor refuses {CONFIG}: {fault.faultString}; nothing was changed") from None


def unit_state():
    keys = "ActiveState,UnitFileState,NeedDaemonReload"
    shown = subprocess.run(
        ["systemctl", "show", "-p", keys, UNIT], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def state():
    """Print all that a run has to know, as JSON."""
    unit = unit_state()
    fresh = os.path.exists(STARTED) and (
        subprocess.run(["sha256sum", "--check", "--status", STARTED], capture_output=True).returncode == 0
    )
    found = {
        "active": unit["ActiveState"] == "active",
        "enabled": unit["UnitFileState"] == "enabled",
        "fresh": fresh and unit["NeedDaemonReload"] == "no",
        "answers": False,
        "pending": [],
        "programs": {},
    }
    try:
        rpc = connect()
        added, changed, removed = reread(rpc)
    except FailedError:
        return found
    declared = wanted(rpc)
    found["answers"] = True
    found["pending"] = sorted({*added, *changed, *removed})
    found["programs"] = {name: info["statename"] for name, info in processes(rpc).items() if name in declared}
    return found


def wait_gone(rpc, groups, deadline):
    while True:
        left = [
            full_name(info)
            for info in rpc.getAllProcessInfo()
            if info["group"] in groups and info["statename"] not in GONE
        ]
        if not left:
            return
        if time.monotonic() > deadline:
            raise FailedError(f"{', '.join(left)} did not stop in time; run again, or look why it hangs")
        time.sleep(0.1)


def last_lines(path):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        return [f"({error})"]


def explain(infos):
    """Return, for each program that is not RUNNING, its state, the reason, and its last log lines."""
    text = []
    for name, info in infos:
        reason = info["spawnerr"] or info["description"] or "no reason given"
        text.append(f"{name} is {info['statename']}: {reason}")
        for path in dict.fromkeys([info["stderr_logfile"], info["stdout_logfile"]]):
            if path:
                text += [f"  last lines of {path}:", *(f"    {line}" for line in last_lines(path))]
    return "\n".join(text)


def wait_running(rpc, deadline, names=None):
    """Wait until the declared programs run and stay up for their startsecs; one that gave up ends it."""
    declared = wanted(rpc) if names is None else set(names)
    while True:
        found = processes(rpc)
        missing = sorted(declared - found.keys())
        late = [(name, found[name]) for name in sorted(declared & found.keys())]
        late = [(name, info) for name, info in late if info["statename"] != "RUNNING"]
        if not late and not missing:
            return
        dead = [(name, info) for name, info in late if info["statename"] == "FATAL"]
        if dead or time.monotonic() > deadline:
            lost = [f"{name} is not known to the running supervisor" for name in missing]
            raise FailedError("\n".join([*lost, explain(dead or late)]))
        time.sleep(0.1)


def update(deadline):
    """Restart what changed, start what is new or has died, stop what is gone, and nothing else."""
    rpc = connect(patience=15)
    added, changed, removed = reread(rpc)
    # All are asked to stop before any is waited for: the pause is the slowest one's, not the sum.
    for group in [*changed, *removed]:
        rpc.stopProcessGroup(group, False)
    wait_gone(rpc, {*changed, *removed}, deadline)
    for group in [*changed, *removed]:
        rpc.removeProcessGroup(group)
    for group in [*changed, *added]:
        rpc.addProcessGroup(group)
    declared = wanted(rpc)
    dead = [name for name, info in processes(rpc).items() if info["statename"] in GONE and name in declared]
    started = []
    for name in dead:
        if name.split(":")[0] in {*changed, *added}:
            continue  # supervisor starts those itself
        start(rpc, name)
        started.append(name)
    for word, names in (("restarted", changed), ("added", added), ("removed", removed), ("started", started)):
        if names:
            print(f"{APP}: {word} {', '.join(names)}")
    wait_running(rpc, deadline)


def start(rpc, name):
    try:
        rpc.startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        # It came up by itself meanwhile, or cannot: then waiting for it tells why.
        if not fault.faultString.startswith(("ALREADY_STARTED", "SPAWN_ERROR", "NO_FILE", "NOT_EXECUTABLE")):
            raise


def restart(services, deadline):
    if not services:
        for command in (["reset-failed", UNIT], ["restart", UNIT]):
            done = subprocess.run(["systemctl", *command], capture_output=True, text=True)
            if done.returncode != 0 and command[0] == "restart":
                raise FailedError(f"{done.stderr.strip()}; look at: journalctl -u {UNIT}")
        rpc = connect(patience=15)
        reread(rpc)
        return wait_running(rpc, deadline)
    rpc = connect()
    unknown = sorted(set(services) - processes(rpc).keys())
    if unknown:
        known = ", ".join(processes(rpc))
        raise FailedError(f"{APP} has no service {', '.join(unknown)}; it has {known}; nothing was restarted")
    for name in services:
        if processes(rpc)[name]["statename"] not in GONE:
            rpc.stopProcess(name, False)
    wait_gone(rpc, {name.split(":")[0] for name in services}, deadline)
    for name in services:
        start(rpc, name)
    return wait_running(rpc, deadline, services)


def status():
    """Print the table; return whether every declared program runs."""
    rpc = connect()
    found = processes(rpc)
    width = max(map(len, found), default=0)
    for name, info in sorted(found.items()):
        print(f"{name:{width}}  {info['statename']:8}  {info['description']}")
    declared = wanted(rpc)
    running = [name for name in declared if name in found and found[name]["statename"] == "RUNNING"]
    print(f"{APP}: {len(running)} of {len(declared)} services RUNNING")
    return len(running) == len(declared)


def arguments():
    about = {
        "restart": f"Stop {APP}, start it with {CONFIG}, wait until every service runs, show the table.",
        "status": f"Show the services of {APP}; exit code 1 if one that should run does not.",
    }
    parser = argparse.ArgumentParser(prog=f"{APP}-{VERB}", description=about.get(VERB))
    if VERB in {"restart", "update"}:
        parser.add_argument("--timeout", type=int, default=60, help="seconds to wait, default 60")
    if VERB == "restart":
        parser.add_argument(
            "service", nargs="*", help="restart only these; default all, with a fresh env file"
        )
    return parser.parse_args(sys.argv[4:])


def main():
    given = arguments()
    if VERB == "state":
        print(json.dumps(state()))
        return 0
    if VERB == "update":
        update(time.monotonic() + given.timeout)
        return 0
    if VERB == "restart":
        if os.geteuid() != 0:
            raise FailedError("it needs root; use sudo")
        try:
            restart(given.service, time.monotonic() + given.timeout)
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
