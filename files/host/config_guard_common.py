# What is watched of the apps' configuration, as it was accepted, and what was recorded of it since. A part of
# config-guard.py and of the programs that ask about it.
import contextlib
import fnmatch
import glob
import json
import os
import time

from config_guard_files import brief, entry
from whole_files import write_whole

DECLARATION = "/etc/hostwright/config-guard.json"
UNIT = "hostwright-config-guard.service"
PLACES = {
    "manifest": "/var/lib/hostwright/config-guard/manifest.json",
    "stopped": "/var/lib/hostwright/config-guard/stopped",
    "records": "/var/log/hostwright/config-changes.jsonl",
    "run": "/run/hostwright-config-guard",
    "lock": "/run/hostwright/lock",
    "trial": "/var/lib/hostwright/trial",
}
KEPT = 256 << 10  # of records, twice: the file and the one before it
MOST = 2000  # paths of one app; more of them are data, and no configuration


def read_json(path):
    """Return what is in a JSON file; None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_file(path, text):
    """Replace a file, root's alone, in one step."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    write_whole(path, text)


class Watched:
    """What is declared: trees, of which everything counts, files and patterns, and which may be shown."""

    def __init__(self, path=DECLARATION):
        declared = read_json(path) or {"apps": {}}
        self.places = {**PLACES, **declared.get("places", {})}
        self.apps = declared["apps"]

    def patterns(self):
        """Return everything that is watched, as the manifest keeps it."""
        return sorted(one for app in self.apps.values() for one in [*app["trees"], *app["files"]])

    def app_of(self, path):
        """Return the app that a path belongs to; None where it is not watched."""
        for name, app in self.apps.items():
            if covered(path, app["trees"], app["files"]):
                return name
        return None

    def shown(self, path):
        return any(path in app["shown"] for app in self.apps.values())

    def kept(self):
        """Return the files that a run makes once and never writes again."""
        return {path for app in self.apps.values() for path in app["kept"]}

    def directories(self):
        """Return the directories in which something is watched, and those in which they could be replaced."""
        apps = self.apps.values()
        trees = [tree for app in apps for tree in app["trees"]]
        # What is declared as a tree may be a file.
        files = [one for app in apps for one in app["files"]] + [
            one for one in trees if not os.path.isdir(one)
        ]
        inside = {directory for tree in trees for directory, _, _ in os.walk(tree)}
        inside |= {os.path.dirname(one) for one in files}
        above = set()
        for path in [*trees, *inside]:
            while path != "/":
                path = os.path.dirname(path)
                above.add(path)
                if os.path.isdir(path):
                    break
        return inside, above

    def paths(self):
        """Return everything that is there now of what is watched."""
        found = set()
        for app in self.apps.values():
            mine = {path for one in app["files"] for path in glob.glob(one)}
            for tree in app["trees"]:
                if os.path.lexists(tree):
                    mine.add(tree)
                for directory, names, files in os.walk(tree):
                    mine.update(f"{directory}/{name}" for name in [*names, *files])
                    if len(mine) > MOST:
                        break
            found.update(sorted(mine)[:MOST])
        return found

    def scan(self, key):
        """Return path → entry of everything that is there."""
        found = {path: entry(path, key, self.shown(path)) for path in sorted(self.paths())}
        return {path: about for path, about in found.items() if about is not None}


def covered(path, trees, files=()):
    return any(path == tree or path.startswith(tree + "/") for tree in trees) or any(
        fnmatch.fnmatchcase(path, one) and path.count("/") == one.count("/") for one in files
    )


# --- what was recorded


def records(places):
    """Give all records, oldest first; half a line, of a power cut, is none."""
    for path in (places["records"] + ".1", places["records"]):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def add_record(places, record):
    path = places["records"]
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if os.stat(path).st_size > KEPT:
            os.rename(path, path + ".1")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, (json.dumps(record) + "\n").encode())
    finally:
        os.close(handle)


def unaccepted(manifest, recorded):
    """Return the records of changes that no run made and none has accepted."""
    return [one for one in recorded if "run" not in one and one["at"] > manifest["since"]]


def known(manifest, recorded):
    """Return path → entry as it was seen last: as accepted, and what was recorded since."""
    found = {path: brief(about) for path, about in manifest["files"].items()}
    for one in recorded:
        # What a run wrote is accepted with it; what others did meanwhile is not.
        if one["until"] > manifest["accepted"] or ("run" not in one and one["at"] > manifest["since"]):
            found[one["path"]] = one["now"]
    return {path: about for path, about in found.items() if about is not None}


def run_at_work(places):
    """Return id and session of the run that changes this host, or is being undone; None for none."""
    try:
        with open(places["lock"], encoding="utf-8") as file:
            about = dict(line.rstrip("\n").partition("=")[::2] for line in file)
        session = [int(one) for one in about.get("session", "").split()]
        if not session or started(session[0]) == session[1]:
            return about["run"], session[0] if session else 0
    except (FileNotFoundError, KeyError, ValueError):
        pass
    for place in (places["trial"], places["trial"] + ".confirmed"):
        trial = read_json(place + "/trial.json")
        if trial is not None:
            return trial["run"]["id"], (trial.get("session") or {}).get("pid", 0)
    return None


def started(pid):
    """Return when a process started, in the kernel's ticks; None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def when(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def by_whom(record):
    """Return in words who made a recorded change, and when."""
    who, at = record["who"], when(record["at"])
    if record.get("between"):
        since, until = map(when, record["between"])
        at = f"{at} UTC, " if record["now"] is not None else ""
        return f"{at}while the guard was not running, between {since} and {until} UTC"
    if who is None:
        return f"{at} UTC by a process that was not seen"
    if who["pid"] == 0:
        return f"{at} UTC by a process that cannot be seen from this host"
    if who.get("name") is None:
        return f"{at} UTC by process {who['pid']}, which had ended before it could be looked at"
    words = [f"{who['name']} (PID {who['pid']}, {who['exe'] or 'program unknown'})"]
    words += [f"user {who['user']}"] if who["user"] else []
    words += [f"login of {who['login']}"] if who.get("login") not in (None, who["user"]) else []
    words += [f"service {who['service']}"] if who.get("service") else []
    words += [f"unit {who['unit']}"] if who["unit"] else []
    words += [f"started by {' < '.join(who['chain'])}"] if who["chain"] else []
    return f"{at} UTC by {', '.join(words)}"
