"""
Restart a service, then kill it, and show that it comes back by itself as it was.

usage: drill.py SPEC. JSON: app, unit, url, equal [fields], seconds, milliseconds; and, or null, recovery (a
regular expression with a group "ms"), database, port, query, counted (field). Exit code 1: it does not.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

SPEC = json.loads(sys.argv[1])
PAUSE = 0.05
LOG_LINES = 10


class FailedError(Exception):
    """What was expected and what was seen."""


def run(*words, env=None):
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise FailedError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout


def unit(key):
    return run("systemctl", "show", "-p", key, "--value", "--", SPEC["unit"]).strip()


def page():
    """Return the health page, or None while it does not answer 200."""
    try:
        with urllib.request.urlopen(SPEC["url"], timeout=5) as reply:
            return json.loads(reply.read())
    except (OSError, ValueError):
        return None


def health(after_pid=None):
    """Wait for the health page of a process that is not the one before."""
    deadline = time.monotonic() + SPEC["seconds"]
    while True:
        pid = unit("MainPID")
        found = page() if pid not in ("0", after_pid) else None
        if found is not None and unit("MainPID") == pid:
            return found, pid
        if time.monotonic() > deadline:
            raise FailedError(f"{SPEC['url']} does not answer 200 within {SPEC['seconds']} s")
        time.sleep(PAUSE)


def compared(found):
    missing = [field for field in SPEC["equal"] if field not in found]
    if missing:
        raise FailedError(f"the health page has no {', '.join(missing)}")
    return {field: found[field] for field in SPEC["equal"]}


def count(found):
    """Return the database's count, which must be the health page's."""
    if SPEC["query"] is None:
        return None
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    command += ["-p", str(SPEC["port"]), "-d", SPEC["database"], "-c", SPEC["query"]]
    env = {"PATH": os.environ["PATH"], "PGOPTIONS": "-c default_transaction_read_only=on"}
    counted = run(*command, env=env).strip()
    shown = found.get(SPEC["counted"])
    if counted != str(shown):
        raise FailedError(f"the database counts {counted}, and the health page {SPEC['counted']} {shown}")
    return counted


def recovery():
    """Return how long the recovery of this start took, from the service's own log line."""
    if SPEC["recovery"] is None:
        return None
    deadline = time.monotonic() + 5  # the journal may be behind
    while True:
        invocation = f"_SYSTEMD_INVOCATION_ID={unit('InvocationID')}"
        said = run("journalctl", "--quiet", "--no-pager", "--output=cat", invocation)
        found = list(re.finditer(SPEC["recovery"], said))
        if found:
            taken = int(found[-1]["ms"])
            if taken >= SPEC["milliseconds"]:
                raise FailedError(f"recovery took {taken} ms, at most {SPEC['milliseconds']} is allowed")
            return found[-1][0]
        if time.monotonic() > deadline:
            raise FailedError(f"no line of its log matches {SPEC['recovery']!r} since it was started")
        time.sleep(0.2)


def act(what, how, before, pid):
    """Do one thing to the service, and compare it with what it was."""
    began = time.monotonic()
    how(pid)
    found, now = health(after_pid=pid)
    seconds = time.monotonic() - began
    after = compared(found)
    changed = [
        f"{field} is {after[field]}, it was {before[field]}"
        for field in before
        if after[field] != before[field]
    ]
    if changed:
        raise FailedError(
            f"after the {what}: {'; '.join(changed)}; if it was given work meanwhile, drill it in maintenance"
        )
    counted = count(found)
    said = recovery()
    line = f"{SPEC['app']}: {what}: back after {seconds:.1f} s, health as before"
    line += f", {counted} in the database as well" if counted is not None else ""
    print(line + (f"; {said}" if said is not None else ""))
    return now


def restart(_pid):
    run("systemctl", "restart", "--", SPEC["unit"])


def kill(pid):
    os.kill(int(pid), signal.SIGKILL)


def main():
    found, pid = health()
    before = compared(found)
    counted = count(found)
    said = ", ".join(f"{field} {value}" for field, value in before.items())
    print(f"{SPEC['app']}: before: {said}" + (f"; {counted} in the database" if counted is not None else ""))
    pid = act("restart", restart, before, pid)
    act("kill -9", kill, before, pid)


if __name__ == "__main__":
    try:
        main()
    except FailedError as error:
        print(f"{SPEC['app']}: the drill failed: {error}", file=sys.stderr)
        words = [
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output=cat",
            f"--lines={LOG_LINES}",
            "-u",
            SPEC["unit"],
        ]
        for line in subprocess.run(words, capture_output=True, text=True).stdout.splitlines():
            print(f"    {line}", file=sys.stderr)
        sys.exit(1)
