"""
Have an app take nothing new and finish what is under way, or have it take work again.

usage: maintenance.py enter|leave FLAG PORT|- CALL|- BACK|-
CALL and BACK are METHOD:PATH; BACK takes an `enter` back that failed. Standard input of `enter` is JSON:
{"app": name, "gates": text of gates.py, "spec": what it reads or null, "drain": whether to wait for it}.

A flag that somebody else has set is left as it is, both ways: it is not ours to end.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time

OURS = "Set by hostwright for the time of a deploy"
# The service may just have been restarted.
ANSWER_SECONDS = 15
CALL_SECONDS = 10


class FailedError(Exception):
    """What went wrong, for whoever reads it at night."""


def read(flag):
    try:
        with open(flag, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def sync(directory):
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def set_flag(flag):
    if read(flag) is not None:
        return
    aside = f"{flag}.new"
    with open(aside, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        run = os.environ.get("HOSTWRIGHT_RUN", "")
        file.write(f"{OURS}{f', run {run}' if run else ''}; the next deploy removes it.\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, flag)
    sync(os.path.dirname(flag))


def remove_flag(flag):
    if (read(flag) or "").startswith(OURS):
        os.unlink(flag)
        sync(os.path.dirname(flag))


def listens(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # it hangs: that is not the same as not being there


def call(port, words, patience):
    """Send one request; a service that does not listen yet is tried again for some seconds."""
    method, _, path = words.partition(":")
    deadline = time.monotonic() + patience
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
        try:
            connection.request(method, path, body=b"", headers={"Content-Length": "0"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise FailedError(f"{method} {path} on port {port} was not answered: {error}") from None
            time.sleep(0.2)
            continue
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise FailedError(f"{method} {path} on port {port} was answered with {status}")
        return


def drained(given):
    """Return whether the gates say that nothing is under way."""
    command = [sys.executable, "-I", "-c", given["gates"], "-"]
    return subprocess.run(command, input=json.dumps(given["spec"]), text=True).returncode == 0


def enter(flag, port, on, back):
    given = json.load(sys.stdin)
    app = given["app"]
    runs = port is None or listens(port)
    try:
        set_flag(flag)
        if on and runs:
            call(port, on, 0)
        if not runs:
            print(f"{app}: nothing listens on port {port}, so there is nothing to wait for")
        elif given["spec"] and given["drain"] and not drained(given):
            raise FailedError("it did not drain in time, see above")
    except BaseException as error:
        try:
            leave(flag, port, back if runs else None, 0)
        except FailedError as second:
            # Whatever it answers, it is not kept from its work by us.
            remove_flag(flag)
            print(f"{app}: {second}", file=sys.stderr)
        if not isinstance(error, FailedError):
            raise
        raise FailedError(
            f"{app}: {error}; it is out of maintenance again, and nothing was stopped; "
            "run again when less is under way, or without waiting: --data drain=no"
        ) from None


def leave(flag, port, off, patience=ANSWER_SECONDS):
    # First what can fail: as long as the flag is there, a next run knows that this one is not done.
    if off:
        call(port, off, patience)
    remove_flag(flag)


def main():
    verb, flag, port, *calls = [None if word == "-" else word for word in sys.argv[1:]]
    port = int(port) if port else None
    if verb == "enter":
        enter(flag, port, *calls)
    else:
        leave(flag, port, calls[0])


if __name__ == "__main__":
    try:
        main()
    except FailedError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
