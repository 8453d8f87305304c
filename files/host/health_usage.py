"""What services use: CPU time and memory of their processes, and the rows that their database writes."""

import contextlib
import http.client
import os
import re
import urllib.parse

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE = re.compile(r"^pg_stat_database_(numbackends|tup_inserted|tup_updated|tup_deleted)\{(.*)\} (\S+)$")
DATABASE_SECONDS = 5


def this_boot():
    """Return what names this boot of the host, and for how long it has been up, suspended or not."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        name = file.read().strip()
    with open("/proc/uptime", encoding="ascii") as file:
        return name, float(file.read().split()[0])


def processes():
    """Return pid to its parent and its CPU seconds, those of children that ended among them."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(pid)] = (int(fields[1]), sum(int(one) for one in fields[11:15]) / TICKS)
    return found


def memory_of(pid):
    """Return a process's share of memory; what several share is divided among them."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0  # it ended just now


def used_by(services):
    """
    Return service to "mark", "cpu" (seconds so far) and "memory" (bytes), of itself and all below it.

    + services: what look() found; one that does not run uses nothing that is told
    """
    known, children = processes(), {}
    for pid, (parent, _) in known.items():
        children.setdefault(parent, []).append(pid)
    found = {}
    for service, about in services.items():
        mark = about["mark"]
        first = int(mark[0]) if about["runs"] and mark else 0
        if first not in known:
            continue
        mine = [first]
        for pid in mine:
            mine += children.get(pid, [])
        found[service] = {
            "mark": mark,
            "cpu": round(sum(known[pid][1] for pid in mine), 2),
            "memory": sum(memory_of(pid) for pid in mine),
        }
    return found


def databases(url):
    """Return database to "connections" and "writes" so far, by PostgreSQL's exporter; {} for none."""
    where = urllib.parse.urlsplit(url)
    try:
        # Not urllib.request, which would take 1 MB more in each round.
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=DATABASE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", where.path)
            answer = connection.getresponse()
            lines = answer.read().decode(errors="replace").splitlines()
            return databases_of(lines) if answer.status == 200 else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}


def databases_of(lines):
    found = {}
    for line in lines:
        sample = SAMPLE.match(line)
        name = re.search(r'datname="([^"\\]+)"', sample[2]) if sample is not None else None
        if name is None:
            continue
        one = found.setdefault(name[1], {"connections": 0.0, "writes": 0.0})
        one["connections" if sample[1] == "numbackends" else "writes"] += float(sample[3])
    return found
