"""
Keep on the host what drift.py found there, for health_metrics.py: one file, whole or as it was before.

usage: drift-record.py  the record as JSON on standard input; the time of this host is put in
Prints nothing where it is kept, else in a sentence why not. No run can begin meanwhile.
"""

import fcntl
import json
import os
import sys
import time

from health_act import RUNTIME, run_holds_lock

HOME = "/var/lib/hostwright"


def main():
    record = json.load(sys.stdin)
    if not os.path.isdir(HOME):
        return "nothing was ever deployed here"
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(f"{RUNTIME}/.guard", "a", encoding="utf-8") as guard:
        # A run takes its lock with this one held.
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "a run begins or ends here"
        if run_holds_lock():
            return "a run is at work here, or not confirmed"
        keep(f"{HOME}/drift.json", json.dumps({"at": round(time.time()), **record}) + "\n")
    return None


def keep(path, text):
    aside = f"{path}.new"
    # What an earlier, interrupted one left behind may be anything.
    if os.path.lexists(aside):
        os.unlink(aside)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.rename(aside, path)


if __name__ == "__main__":
    why = main()
    if why is not None:
        print(why)
