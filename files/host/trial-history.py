# Print, as JSON, what a host remembers of its runs: the ledger's end, releases, snapshots, who is at work.
# usage: trial-history.py LINES
import json
import os
import sys

HOME = "/var/lib/hostwright"
LEDGER = "/var/log/hostwright/ledger.jsonl"
LOCK = "/run/hostwright/lock"


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def runs(lines):
    """Return the ledger's last lines, oldest first; logrotate may have begun a new one."""
    found = [line for path in (LEDGER + ".1", LEDGER) for line in read(path).splitlines()]
    return [json.loads(line) for line in found[-lines:] if line.strip()]


def size(directory):
    return sum(
        os.lstat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(directory)
        for name in names
    )


def snapshots():
    found = []
    base = HOME + "/snapshots"
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        manifest = read(f"{base}/{name}/manifest.json")
        if not manifest:
            continue
        about = json.loads(manifest)
        dumps = f"{base}/{name}/dumps"
        found.append(
            {
                "run": name,
                "made": about["made"],
                "current": {app: one["current"] for app, one in about["apps"].items()},
                "files": sum(1 for one in about["files"].values() if one["kind"] != "absent"),
                "bytes": size(f"{base}/{name}"),
                "dumps": sorted(os.listdir(dumps)) if os.path.isdir(dumps) else [],
            }
        )
    return found


trial = read(HOME + "/trial/trial.json")
print(
    json.dumps(
        {
            "runs": runs(int(sys.argv[1])),
            "releases": json.loads(read(HOME + "/releases.json") or "{}"),
            "snapshots": snapshots(),
            "trial": json.loads(trial) if trial else None,
            "lock": dict(line.split("=", 1) for line in read(LOCK).splitlines() if "=" in line),
        }
    )
)
