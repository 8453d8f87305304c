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


# Python and what it needs, loaded while the services still run: each second that they are down counts.
WAITING = """import runpy, sys
import argparse, json, subprocess, xmlrpc.client
try:
    import supervisor.xmlrpc
except ImportError:
    pass
print("ready", flush=True)
if sys.stdin.readline():
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Starter:
    """The program that starts what is down, ready to go; without a word of ours it does nothing."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", WAITING, f"{TRIAL}/{name}", *arguments], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.process.stdout.readline()

    def go(self):
        said, wrong = self.process.communicate("go\n")
        if self.process.returncode != 0:
            raise FailedError((wrong or said).strip())


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
    starter = Starter(*spec["update"])
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
        starter.go()
        raise
    renamed = time.monotonic()
    starter.go()
    print(f"{spec['app']}: {fresh} is now {live}; the one before is kept as {replaced}")
    print(f"{spec['app']}: stopped in {stopped - began:.2f} s, renamed in {renamed - stopped:.2f} s, "
          f"all services up and steady {time.monotonic() - renamed:.1f} s later")  # fmt: skip


if __name__ == "__main__":
    try:
        switch(json.loads(sys.argv[1]))
    except FailedError as error:
        print(f"restore: {error}", file=sys.stderr)
        sys.exit(1)
