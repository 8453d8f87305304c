# Put a fresh database in the place of the live one: stop the app, rename both in one go, start it.
# usage: postgres-cluster.sh CLUSTER up python3 ... restore-switch.py SPEC
# SPEC is JSON: app, database, role, snapshot, update (the program that starts what is down, with its
# arguments), condition (SQL that must still give true once nothing runs any more, or null). The rest is in
# the run's note, which its undo reads as well; the programs lie on the host while the run is on trial.
import json
import os
import subprocess
import sys
import time

from database_names import rename
from restore_common import FailedError, holds, tool
from restore_database import grants

TRIAL = "/var/lib/hostwright/trial"


def program(name, *arguments):
    done = subprocess.run(
        [sys.executable, "-I", f"{TRIAL}/{name}", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FailedError((done.stderr or done.stdout).strip())
    return done.stdout.splitlines()


def still(spec):
    """Refuse to go on where what was true before the app was stopped is not any more."""
    if spec["condition"] is None:
        return
    true, given = holds(spec["condition"], spec["database"], spec["role"])
    if not true:
        raise FailedError(
            f"the app's own condition (wipe_when) gives {given!r} now, not true; nothing was emptied"
        )


def switch(spec):
    with open(f"{spec['snapshot']}/databases/{spec['database']}.json", encoding="utf-8") as file:
        note = json.load(file)
    live, fresh, replaced = note["database"], note["fresh"], note["replaced"]
    if not note["own"]:
        grants(live, fresh)
    began = time.monotonic()
    try:
        program(*note["stop"])
        still(spec)
        stopped = time.monotonic()
        client = ["runuser", "-u", "postgres", "--", tool("psql")]
        try:
            rename(client, os.environ, [(live, replaced), (fresh, live)])
        except ValueError as error:
            raise FailedError(str(error)) from None
    except FailedError:
        # Nothing was renamed: the app goes on as before, at once.
        program(*spec["update"])
        raise
    renamed = time.monotonic()
    program(*spec["update"])
    print(f"{spec['app']}: {fresh} is now {live}; the one before is kept as {replaced}")
    print(f"{spec['app']}: stopped in {stopped - began:.2f} s, renamed in {renamed - stopped:.2f} s, "
          f"all services up and steady {time.monotonic() - renamed:.1f} s later")  # fmt: skip


if __name__ == "__main__":
    try:
        switch(json.loads(sys.argv[1]))
    except FailedError as error:
        print(f"restore: {error}", file=sys.stderr)
        sys.exit(1)
