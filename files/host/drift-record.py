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
from whole_files import write_whole

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
        found = {"at": round(time.time()), **record}
        write_whole(f"{HOME}/drift.json", json.dumps(found) + "\n", mode=0o644)
    return None


if __name__ == "__main__":
    why = main()
    if why is not None:
        print(why)
