"""
Run the gates of all apps of this host, keep what they said, write metrics, and restart what stays failed.

usage: health.py [CONFIG]      default /etc/hostwright/health.json; as hostwright-health.service, by its timer

What it keeps is in /var/lib/hostwright/health/APP.json. docs/monitoring.md has the metrics by name.
"""

import json
import os
import sys
import time

from health_act import actions_left, busy, restart
from health_baseline import after_round
from health_files import say
from health_gates import answer_of, begin_gates
from health_logs import read_logs
from health_metrics import metrics_text
from health_services import look, restarts_since, starts
from health_usage import databases, this_boot
from whole_files import read_json, write_whole

CONFIG = "/etc/hostwright/health.json"
STATE = "/var/lib/hostwright/health"
# Until when a gate must have passed: the next round is due soon after.
ROUND_SECONDS = 20
# Each gate has an end of its own; this is for a program that has none.
LAST = 10
KEPT_ROUNDS = 120
# What belongs to a service, and what it may be restarted for.
OF_A_SERVICE = ("running", "http", "tcp", "command")


def spec_of(about):
    """Return what the current release must be able to do, asked once and not watched; None without one."""
    spec = read_json(f"{about['root']}/current/gates.json")
    if spec is None:
        return None
    gates, logs = [], []
    for gate in spec["gates"]:
        if gate["kind"] == "log":
            logs.append(gate)  # its lines are counted, those between the rounds too
            continue
        short = {**gate, "seconds": min(gate.get("seconds", ROUND_SECONDS), ROUND_SECONDS)}
        if gate["kind"] == "running":
            # Whether it is still the same process is known from the round before.
            short["stays"] = 0
        gates.append(short)
    return {**spec, "gates": gates, "gates_of_logs": logs}


def end(asked):
    """Return what the gates said; where they said nothing that is readable, that is a gate of its own."""
    try:
        return answer_of(asked, ROUND_SECONDS + LAST)
    except ValueError as error:
        finding = {"service": None, "expected": "an answer", "saw": str(error)}
    gate = {"gate": "gates.py itself", "kind": "none", "status": "failed", "findings": [finding]}
    return {"passed": False, "seconds": ROUND_SECONDS + LAST, "gates": [gate]}


def failed_of(found):
    return [
        {"gate": gate["gate"], "kind": gate["kind"], **finding}
        for gate in found["gates"]
        if gate["status"] == "failed"
        for finding in gate["findings"]
    ]


def release_of(about):
    return os.path.basename(os.path.realpath(f"{about['root']}/current"))


def round_of(app, about, spec, found, before, now, held):
    """Return what is known of an app after this round, from what was known before it."""
    services = look(spec)
    failed = failed_of(found)
    ill = {one["service"] for one in failed if one["kind"] in OF_A_SERVICE and one["service"] in services}
    rounds = before.get("failing", {})
    line = {"at": round(now), "passed": found["passed"], "failed": sorted({one["gate"] for one in failed})}
    restarts = before.get("restarts", {})
    started, cursor = {}, None
    if about["unit"] is not None:
        started, cursor = starts(about["unit"], before.get("supervisor"))
    fresh = restarts_since(before.get("services", {}), services, started)
    return {
        "app": app, "release": release_of(about), "at": now,
        "passed": found["passed"], "seconds": found["seconds"],
        "gates": len(found["gates"]), "failed": failed, "held": held, "services": services,
        "supervisor": cursor,
        "restarts": {one: restarts.get(one, 0) + fresh[one] for one in services},
        # While a run is at work, or an app drains, nothing counts: it begins anew after that.
        "failing": {} if held else {one: rounds.get(one, 0) + 1 for one in sorted(ill)},
        "actions": before.get("actions", []), "acted": before.get("acted", {}),
        "logs": read_logs(about, spec, before.get("logs", {}), now),
        "history": [*before.get("history", []), line][-KEPT_ROUNDS:],
    }  # fmt: skip


def act(config, app, about, state):
    """Restart the services that have failed for too long, as far as that is allowed; say what was done."""
    after = config["restart_after"]
    for service, rounds in sorted(state["failing"].items()):
        if after is None or rounds < after:
            continue
        why = next(one for one in state["failed"] if one["service"] == service)
        words = f"{app}: {service} failed {rounds} times: expected {why['expected']}, saw {why['saw']}"
        left = actions_left(state["actions"], config["restarts_per_hour"])
        if left == 0:
            say(f"{words}; it is NOT restarted: {config['restarts_per_hour']} restarts in this hour were all")
            continue
        done = restart(app, about, service, words)
        if done is None:
            continue  # somebody else is at work now
        state["actions"] = [*state["actions"], time.time()][-max(1, config["restarts_per_hour"]) :]
        state["acted"][service] = state["acted"].get(service, 0) + 1
        state["failing"][service] = 0


def main(path):
    os.umask(0o022)
    config = read_json(path)
    if config is None:
        sys.exit(f"{path} does not exist or is no JSON; deploy.py writes it, where 'health' is declared")
    os.makedirs(STATE, mode=0o755, exist_ok=True)
    began, states = time.time(), {}
    told, rows = config.get("baseline"), {}
    if told is not None:
        boot, uptime = this_boot()
        told = {**told, "every": config["every"], "boot": boot, "uptime": uptime, "now": began}
        rows = databases(told["database"])
    specs = {app: spec_of(about) for app, about in config["apps"].items()}
    at_work = {
        app: begin_gates({key: value for key, value in spec.items() if key != "gates_of_logs"})
        for app, spec in specs.items()
        if spec is not None and spec["gates"]
    }
    for app, about in config["apps"].items():
        if specs[app] is None:
            continue
        found = {"passed": True, "seconds": 0.0, "gates": []}
        if app in at_work:
            found = end(at_work[app])
        held = busy(about.get("flag"))
        before = read_json(f"{STATE}/{app}.json") or {}
        states[app] = round_of(app, about, specs[app], found, before, began, held)
        if not held:
            act(config, app, about, states[app])
        if told is not None:
            states[app] |= after_round(app, states[app], before, rows.get(about.get("database")), told)
        write_whole(f"{STATE}/{app}.json", json.dumps(states[app], indent=1), synced=False)
    if config["metrics"] is not None:
        # Others read it: it has names and numbers, and no word of what a gate saw.
        write_whole(config["metrics"], metrics_text(config, states, began), 0o644, synced=False)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [CONFIG]))
