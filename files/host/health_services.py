"""What health.py asks of process managers: which services run, and how often they began anew."""

import re

from gates_common import RedError
from gates_watched import supervisor_look, systemd_look
from health_logs import new_entries

ANSWER_SECONDS = 5.0
SPAWNED = re.compile(r"\bspawned: '([^']+)' with pid [0-9]+")


def look(spec):
    """Return service to "runs", "mark" (what changes with each start) and "words", of all that should run."""
    found = {}
    for gate in spec["gates"]:
        if gate["kind"] != "running":
            continue
        names = gate["programs"] if "socket" in gate else list(gate["units"])
        ask = supervisor_look if "socket" in gate else systemd_look
        try:
            seen = ask(gate, ANSWER_SECONDS)
        except RedError as red:
            words = red.findings[0][2]
            found |= {one: {"runs": False, "mark": None, "words": words} for one in names}
            continue
        for one, now in seen.items():
            mark = None if now.mark is None else [str(part) for part in now.mark]
            found[one] = {"runs": now.runs, "mark": mark, "words": now.words}
    return found


def starts(unit, cursor):
    """
    Return service to how often supervisor started it since the round before, and where the next one begins.

    Asked, it tells only of the process that is there now; in its journal is each.
    """
    text, after = new_entries(unit, cursor)
    found = {}
    for line in text.splitlines() if cursor is not None else ():
        match = SPAWNED.search(line)
        if match is not None:
            found[match[1]] = found.get(match[1], 0) + 1
    return found, after


def restarts_since(before, now, started):
    """
    Return how often each service began anew since the round before.

    + before, now: services as `look` has them
    + started: service to its starts by the journal, as far as is known
    """
    found = {}
    for service, about in now.items():
        was, mark = (before.get(service) or {}).get("mark"), about["mark"]
        # A process that is not there yet is no start: supervisor has pid 0 between two of them.
        if was is None or mark is None or mark[0] == "0" or was == mark:
            found[service] = 0
            continue
        counted = int(mark[2]) - int(was[2]) if len(mark) == len(was) == 3 else 0
        found[service] = max(1, counted)
    for service, count in started.items():
        if service in found and service in before:
            found[service] = max(found[service], count)
    # What was between two starts at the last round must not hide them.
    for service, about in now.items():
        was = before.get(service)
        if was is not None and (about["mark"] or ["0"])[0] == "0" and was.get("mark"):
            about["mark"] = was["mark"]
    return found
