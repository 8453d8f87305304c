"""
Look at everything that a host is and does, for a few seconds, and change nothing; print it as JSON.

usage: diagnose.py SPEC    SPEC: JSON, what is declared: "sample" (seconds), "apps", "cluster", "databases"
                           and "places"; tasks/diagnose.py makes it

First it samples, while it does nothing else; then it asks all the rest at once. What could not be found out
is in "problems", in words. diagnostics/ says what each field means.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from diagnose_common import PROBLEMS, guarded, volume
from diagnose_database import database
from diagnose_logs import file_logs, host_time, journal_logs, journal_size, log_of, restarts_told
from diagnose_machine import machine, updates, versions
from diagnose_processes import Groups, sample
from diagnose_records import backups_of, last_runs, release_of
from diagnose_services import hardening, of_systemd, supervised, supervisor_answer, units

FORMAT = 1
# Counting files ends after this.
COUNTING = 2.0


def log_paths(app, name, info):
    """Return the files that a supervisor writes a service's output to."""
    given = [info[key] for key in ("stdout_logfile", "stderr_logfile") if info.get(key)] if info else []
    return [one for one in given if one.startswith("/")] or [f"{app['logs']}/{name}.log"]


def sizes(paths):
    return sum(os.lstat(path).st_size for path in paths if os.path.isfile(path))


class App:
    """One app, in the order in which its parts are asked: managers first, then samples, then the rest."""

    def __init__(self, key, spec):
        self.key, self.spec, self.infos, self.shown, self.told_of = key, spec, {}, {}, None
        self.by_supervisor = spec["config"] is not None

    def managers(self):
        if self.by_supervisor:
            self.infos = supervisor_answer(self.spec["socket"]) if os.path.exists(self.spec["config"]) else {}
        self.shown = units(self.spec["units"])

    def mains(self):
        return {info["pid"]: name for name, info in self.infos.items() if info["pid"]}

    def paths(self):
        return {name: log_paths(self.spec, name, info) for name, info in self.infos.items()}

    def more(self):
        """What takes another program's time."""
        unit = self.shown.get(self.spec["units"][0], {}) if self.by_supervisor else {}
        if unit.get("InvocationID"):
            self.told_of = guarded("restarts", restarts_told, unit["InvocationID"])

    def services(self, samples, grown, seconds):
        now = host_time()
        if self.by_supervisor:
            found = supervised(self.spec, self.infos, self.told_of, now)
        else:
            found = of_systemd(self.spec, self.shown, now)
        lines = {}
        if not self.by_supervisor:
            running = [unit for unit in self.spec["services"].values() if unit in self.shown]
            lines = guarded("journal", journal_logs, running, now) or {}
        for name, one in found.items():
            unit = self.spec["units"][0] if self.by_supervisor else self.spec["services"][name]
            group = f"{unit}:{name}" if self.by_supervisor else unit
            one["group"] = samples.pop(group, None)
            started = now - one["uptime"] if one["uptime"] is not None else None
            if self.by_supervisor:
                log = file_logs(self.paths().get(name, ()), started, now)
                # Lines without a time of their own: how much there came while it was sampled.
                if not log["rate"] and log["seconds"] > 1 and name in grown:
                    log |= {"rate": [round(grown[name] / seconds, 1)], "seconds": round(seconds, 1)}
            else:
                log = log_of(lines.get(unit, []), None, started, now)
            one["log"] = log
        return found

    def told(self, services):
        deadline = time.monotonic() + COUNTING
        spec, clock = self.spec, time.monotonic
        main = int(self.shown.get(spec["units"][0], {}).get("MainPID") or 0) if self.by_supervisor else 0
        logs, whole = volume(spec["logs"], deadline, clock), volume(f"{spec['root']}/shared", deadline, clock)
        data = whole
        if whole and logs and spec["logs"].startswith(f"{spec['root']}/shared/"):
            data = {key: max(0, whole[key] - logs[key]) for key in whole}
        closed = None
        if self.by_supervisor and os.path.exists(spec["config"]):
            closed = guarded("hardening", hardening, spec, main)
        return {
            "manager": "supervisor" if self.by_supervisor else "systemd",
            "release": release_of(spec["root"]),
            "services": services,
            "supervisor": closed,
            "logs": logs,
            "data": data,
            "backups": guarded("backups", backups_of, spec),
            "backup_volume": volume(spec["backups"], deadline, clock) if spec["backups"] else None,
        }


def diagnose(spec):
    began = time.monotonic()
    apps = {key: App(key, about) for key, about in spec["apps"].items()}
    for app in apps.values():
        guarded("services", app.managers)
    before = {key: {name: sizes(paths) for name, paths in app.paths().items()} for key, app in apps.items()}
    seconds = spec["sample"]
    groups = Groups({app.spec["units"][0]: app.mains() for app in apps.values() if app.by_supervisor})
    sampling = time.monotonic()
    samples = sample(groups, seconds, max(3, min(12, round(seconds * 2))))
    sampled = time.monotonic() - sampling
    grown = {
        key: {name: max(0, sizes(paths) - before[key].get(name, 0)) for name, paths in app.paths().items()}
        for key, app in apps.items()
    }
    with ThreadPoolExecutor(8) as pool:
        asked = {
            "machine": pool.submit(guarded, "machine", machine, spec),
            "updates": pool.submit(guarded, "updates", updates),
            "versions": pool.submit(guarded, "versions", versions),
            "database": pool.submit(guarded, "database", database, spec),
            "ledger": pool.submit(guarded, "ledger", last_runs),
            "journal": pool.submit(guarded, "journal", journal_size),
        }
        for app in apps.values():
            pool.submit(app.more)
    found = {what: one.result() for what, one in asked.items()}
    told = {}
    for key, app in apps.items():
        services = guarded("services", app.services, samples["groups"], grown[key], sampled) or {}
        told[key] = app.told(services)
    return {
        "format": FORMAT,
        "made": round(host_time(), 3),
        "sampled": round(sampled, 3),
        "busy": samples["busy"],
        "apps": told,
        "others": samples["groups"],
        **found,
        "took": round(time.monotonic() - began, 3),
        "problems": PROBLEMS,
    }


if __name__ == "__main__":
    print(json.dumps(diagnose(json.loads(sys.argv[1]))))
