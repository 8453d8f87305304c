# Look at, update and restart the services of one app that runs under systemd itself.
# usage: systemd-control.py state|status APP ROOT
#        systemd-control.py update|restart|stop APP ROOT SECONDS [OPTION...]
# What is to run is in ROOT/current/systemd: `update` needs nothing but this host, so that whatever makes an
# earlier release the current one only has to call it. SECONDS is how long services may take to stop and then
# to run, unless --timeout says otherwise.
# Sent along for each run of a playbook; installed as APP-restart and APP-status for people.
import argparse
import json
import os
import shlex
import subprocess
import sys
import time

from systemd_reasons import reasons, text, value

VERB, APP, ROOT = sys.argv[1:4]
UNITS = "/etc/systemd/system"
STARTED = f"/run/hostwright/started/{APP}"
PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,NRestarts,Result"
LOG_LINES = 10
# One that crashed so often has had its chance; as many as supervisor gives.
CRASHES = 3


class FailedError(Exception):
    """What went wrong and what to do, for whoever reads it at night."""


def run(*words, timeout=None):
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout)


def names(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def wanted():
    """Return the units of the current release, name to text."""
    directory = f"{ROOT}/current/systemd"
    return {name: text(f"{directory}/{name}") for name in names(directory) if name.endswith(".service")}


def installed():
    """Return the app's own units on this host, name to text, whichever release they came with."""
    found = {name: text(f"{UNITS}/{name}") for name in names(UNITS) if name.endswith(".service")}
    return {name: body for name, body in found.items() if body and value(body, "App") == APP}


def shown(units):
    """Return systemd's properties of each unit."""
    if not units:
        return {}
    blocks = run("systemctl", "show", "-p", PROPERTIES, "--", *units).stdout.split("\n\n")
    found = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {one["Id"]: one for one in found if "Id" in one}


def look():
    """Return what is to do: reasons by unit, units that only need to start at boot, units that go."""
    new, old = wanted(), installed()
    now = shown([*new])
    # What an undone run started may have lost its file already.
    stale = sorted({*old, *(name for name in names(STARTED) if run_state(name))} - new.keys())
    return {
        "services": {value(body, "Service"): unit for unit, body in new.items()},
        "due": {
            unit: why
            for unit, body in new.items()
            if (why := reasons(unit, old.get(unit), body, now.get(unit, {}), STARTED))
        },
        "disabled": [unit for unit in new if now.get(unit, {}).get("UnitFileState") != "enabled"],
        "reload": any(one["NeedDaemonReload"] == "yes" for one in now.values()),
        "stale": stale,
    }


def run_state(unit):
    """Return whether systemd still runs a unit."""
    return shown([unit]).get(unit, {}).get("ActiveState") not in (None, "inactive")


def install(unit, body):
    aside = f"{UNITS}/.{unit}.new"
    with open(aside, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, f"{UNITS}/{unit}")


def sync():
    handle = os.open(UNITS, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def systemctl(*words, timeout=None):
    done = run("systemctl", *words, timeout=timeout)
    if done.returncode != 0:
        raise FailedError(f"systemctl {shlex.join(words)}: {done.stderr.strip()}")


def remove(unit):
    if run_state(unit):
        systemctl("stop", "--", unit)
    if os.path.exists(f"{UNITS}/{unit}"):
        systemctl("--quiet", "disable", "--", unit)
        os.unlink(f"{UNITS}/{unit}")
    if os.path.exists(f"{STARTED}/{unit}"):
        os.unlink(f"{STARTED}/{unit}")


def update(timeout):
    """Restart what changed, start what is new or has died, stop what is gone, and nothing else."""
    deadline = time.monotonic() + timeout
    found, new, old = look(), wanted(), installed()
    if not new:
        raise FailedError(f"{ROOT}/current/systemd has no service; make a whole release the current one")
    for unit in found["stale"]:
        remove(unit)
        print(f"{APP}: removed {unit}")
    written = [unit for unit, body in new.items() if old.get(unit) != body]
    for unit in written:
        install(unit, new[unit])
    if written or found["stale"] or found["reload"]:
        sync()
    disabled = [unit for unit in new if unit in found["disabled"]]
    if disabled:
        systemctl("--quiet", "--no-reload", "enable", "--", *disabled)
    if written or found["stale"] or found["reload"] or disabled:
        systemctl("daemon-reload")
    ran = {unit for unit, one in shown(found["due"]).items() if one["ActiveState"] == "active"}
    restart([*found["due"]], deadline)
    for unit, why in found["due"].items():
        word = "restarted" if unit in ran else "started"
        print(f"{APP}: {word} {unit}: {', '.join(why)}")
    wait([*new], new, deadline)


def restart(units, deadline):
    """Restart units, all at once; what each of them came to is for `wait` to tell."""
    if not units:
        return
    failed = [unit for unit, one in shown(units).items() if one["ActiveState"] == "failed"]
    if failed:
        systemctl("reset-failed", "--", *failed)
    try:
        run("systemctl", "restart", "--", *units, timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise FailedError(
            f"{', '.join(units)} did not stop and start in time; look at: {APP}-status"
        ) from None


def explain(units, why):
    said = []
    for unit in units:
        said += [f"{unit}: {why[unit]}", f"  last lines of journalctl -u {unit}:"]
        lines = run("journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={LOG_LINES}", "-u", unit)
        said += [f"    {line}" for line in lines.stdout.splitlines()]
    return "\n".join(said)


def wait(units, bodies, deadline):
    """Wait until each unit has been up, in one process, for its StartSeconds."""
    since, crashes = {}, {unit: int(one["NRestarts"]) for unit, one in shown(units).items()}
    while True:
        now, why, hopeless = shown(units), {}, False
        for unit in units:
            one = now[unit]
            restarts = int(one["NRestarts"]) - crashes[unit]
            if one["ActiveState"] != "active" or one["SubState"] != "running":
                since.pop(unit, None)
                why[unit] = f"is {one['ActiveState']} ({one['SubState']}, {one['Result']})"
                hopeless = hopeless or one["ActiveState"] == "failed"
            else:
                if since.setdefault(unit, (one["MainPID"], time.monotonic()))[0] != one["MainPID"]:
                    since[unit] = (one["MainPID"], time.monotonic())
                if time.monotonic() - since[unit][1] < int(value(bodies[unit], "StartSeconds") or 0):
                    why[unit] = "has not been up for long enough"
            if restarts >= CRASHES and unit in why:
                why[unit] = f"crashed {restarts} times"
                hopeless = True
        if not why:
            return
        if hopeless or time.monotonic() > deadline:
            raise FailedError(explain([*why], why))
        time.sleep(0.2)


def chosen(labels):
    """Return the units of some services, default all."""
    known = {value(body, "Service"): unit for unit, body in installed().items()}
    unknown = sorted({*labels} - known.keys())
    if unknown:
        raise FailedError(
            f"{APP} has no service {', '.join(unknown)}; it has {', '.join(known)}; nothing was restarted"
        )
    return [known[label] for label in labels or sorted(known)]


def status():
    """Print the table; return whether every service runs."""
    found = {value(body, "Service"): unit for unit, body in installed().items()}
    now, running = shown([*found.values()]), 0
    width = max(map(len, found), default=0)
    for label, unit in sorted(found.items()):
        one = now[unit]
        well = one["ActiveState"] == "active" and one["SubState"] == "running"
        running += well
        state = "RUNNING" if well else one["SubState"].upper()
        print(f"{label:{width}}  {state:8}  {unit}, pid {one['MainPID']}, restarted {one['NRestarts']} times")
    print(f"{APP}: {running} of {len(found)} services RUNNING")
    return running == len(found)


def arguments():
    about = {
        "restart": f"Restart the services of {APP}, wait until each of them runs, show the table.",
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
            help=f"how long services may take to stop and to run, default {seconds}",
        )
    if VERB == "restart":
        parser.add_argument("service", nargs="*", help="restart only these; default all")
    return parser.parse_args(rest)


def main():
    given = arguments()
    if VERB == "state":
        print(json.dumps(look()))
        return 0
    if VERB == "update":
        update(given.timeout)
        return 0
    if VERB == "stop":
        units = [*installed()]
        if units:
            systemctl("stop", "--", *units, timeout=given.timeout)
        return 0
    if VERB == "restart":
        if os.geteuid() != 0:
            raise FailedError("it needs root; use sudo")
        units, deadline = chosen(given.service), time.monotonic() + given.timeout
        restart(units, deadline)
        try:
            wait(units, installed(), deadline)
        except FailedError:
            status()
            raise
    return 0 if status() else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FailedError as error:
        print(f"{APP}: {error}", file=sys.stderr)
        sys.exit(1)
