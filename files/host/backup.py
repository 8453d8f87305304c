"""
Make, prove and list the backups of one app's database. Installed and scheduled by hostwright.

usage: backup.py make|prove|list APP             (make and prove: what the units of the timers run)
       backup.py wait APP make|prove SECONDS     how far the unit is, as JSON; waits for its end for SECONDS

What is declared is in /etc/hostwright/backup/APP.json. Exit code 1: it failed, and says why.
"""

import json
import os
import subprocess
import sys
import time

from backup_common import (
    CONFIGS,
    FailedError,
    backups,
    fail,
    load_config,
    locked,
    make_root,
    state,
)
from backup_copy import copy
from backup_make import make
from backup_prove import prove
from whole_files import read_json


def unit(app, what):
    return f"hostwright-{'backup' if what == 'make' else 'prove'}-{app}.service"


def shown(name):
    keys = "ActiveState,Result,ExecMainStartTimestampMonotonic,InvocationID"
    words = ["systemctl", "show", "-p", keys, name]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def wait(config, what, seconds):
    """Return how far a unit is, or how it ended, with the last lines that it said."""
    name = unit(config["app"], what)
    deadline = time.monotonic() + seconds
    while (found := shown(name))["ActiveState"] in (
        "activating",
        "deactivating",
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    running = found["ActiveState"] in ("activating", "deactivating")
    said = []
    if not running and found["InvocationID"]:
        # Only what the program said, and not what systemd says about the unit.
        words = ["journalctl", "--quiet", "--no-pager", "--output=cat", "-u", name]
        words += [f"_SYSTEMD_INVOCATION_ID={found['InvocationID']}", f"_SYSTEMD_UNIT={name}"]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()[-12:]
    progress = read_json(f"{config['root']}/.progress.json") if running else None
    return {"running": running, "ok": found["Result"] == "success", "said": said, "progress": progress}


def listed(config):
    """Return the backups and the state, for people and programs."""
    found = [
        {key: about.get(key) for key in ("stamp", "made", "bytes", "seconds", "server_version", "release")}
        | {"tables": len(about["tables"]), "rows": sum(about["tables"].values())}
        for about in backups(config).values()
    ]
    return {"app": config["app"], "backups": found, "state": state(config), "now": int(time.time())}


def main(verb, app, *rest):
    if verb == "list" and not os.path.exists(f"{CONFIGS}/{app}.json"):
        print("{}")
        return
    config = load_config(app)
    if verb == "make":
        with locked(config, "a backup"):
            made = make(config)
            if config["copy"] is not None:
                copy(config, made)
    elif verb == "prove":
        make_root(config)
        with locked(config, "a proof"):
            prove(config)
    elif verb == "list":
        print(json.dumps(listed(config)))
    elif verb == "wait":
        print(json.dumps(wait(config, rest[0], float(rest[1]))))
    else:
        raise FailedError(f"{verb!r} is nothing that backup.py does; write make, prove, list or wait")


if __name__ == "__main__":
    os.umask(0o077)
    try:
        main(*sys.argv[1:])
    except (FailedError, OSError) as error:
        fail(f"{sys.argv[2]}: {error}")
        sys.exit(1)
