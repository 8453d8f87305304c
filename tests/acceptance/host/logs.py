# Lines of error that each service wrote since its process began. ABOUT: app, units, patterns.
# mypy: ignore-errors
import os
import re
import subprocess
from datetime import datetime

from tests.acceptance.host.common import ABOUT, answer, services, show

STAMP = re.compile(rb"^\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?")
ERROR = re.compile("|".join(ABOUT["patterns"]).encode())
SHOWN = 3


def when(line):
    """Return the time at the beginning of a line, or None where there is none."""
    found = STAMP.match(line)
    if found is None:
        return None
    day, clock, zone = (part.decode() if part else "" for part in found.groups())
    zone = {"Z": "+0000"}.get(zone, zone.replace(":", ""))
    # Without a zone it is the host's own time.
    return datetime.strptime(
        f"{day} {clock} {zone}".strip(), "%Y-%m-%d %H:%M:%S" + (" %z" if zone else "")
    ).timestamp()


def errors(path, since):
    """Count the lines of error; one without a time of its own belongs to the line before it."""
    found, count, at = [], 0, None
    with open(path, "rb") as file:
        for line in file:
            stamp = when(line)
            at = stamp if stamp is not None else at
            if ERROR.search(line) and (at is None or at >= since):
                count += 1
                if len(found) < SHOWN:
                    found.append(line.decode("utf-8", "replace").rstrip("\n")[:200])
    return {"count": count, "lines": found, "bytes": os.path.getsize(path)}


def in_journal(unit):
    """Return what a unit's own processes said since it was started."""
    run = show(unit, "InvocationID")["InvocationID"]
    words = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"_SYSTEMD_INVOCATION_ID={run}"]
    said = subprocess.run(words, capture_output=True, check=True).stdout
    lines = [line.decode("utf-8", "replace")[:200] for line in said.splitlines() if ERROR.search(line)]
    return {"count": len(lines), "lines": lines[:SHOWN], "bytes": len(said)}


def logs_of(name, info):
    if ABOUT["units"] is not None:
        return {"journal": in_journal(ABOUT["units"][name])}
    return {
        path: errors(path, info["start"])
        for path in dict.fromkeys([info["stdout_logfile"], info["stderr_logfile"]])
        if path and os.path.exists(path)
    }


answer({name: logs_of(name, info) for name, info in services(ABOUT).items()})
