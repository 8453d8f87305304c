"""Write secrets, each a file of its own, 0600 and owned by root, replaced by rename.

usage: secrets-write.py DIRECTORY     standard input: {"given": {NAME: VALUE}, "generated": {NAME: LENGTH}}

A generated secret is made once: one that is there and not blank is never replaced.
"""

import json
import os
import secrets
import string
import sys
import tempfile


def write(directory: str, name: str, value: str) -> None:
    path = os.path.join(directory, name)
    handle, aside = tempfile.mkstemp(prefix=f".{name}.", dir=directory)  # 0600 from the start
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        os.chown(aside, 0, 0)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def is_made(path: str) -> bool:
    """Return whether there is a value; blank is none, as secrets-digests.py says too."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return bool(file.read().strip())


def main() -> None:
    directory = sys.argv[1]
    try:
        wanted = json.loads(sys.stdin.read())
    except ValueError:
        sys.exit(f"{directory}: the secrets arrived incomplete; nothing was changed, run again")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chown(directory, 0, 0)
    os.chmod(directory, 0o700)
    for name in os.listdir(directory):
        # What an earlier, interrupted write left behind.
        if name.startswith("."):
            os.unlink(os.path.join(directory, name))
    for name, value in wanted["given"].items():
        write(directory, name, value)
    letters = string.ascii_letters + string.digits
    for name, length in wanted["generated"].items():
        path = os.path.join(directory, name)
        if is_made(path):
            # Only its owner or mode was wrong.
            os.chown(path, 0, 0)
            os.chmod(path, 0o600)
        else:
            write(directory, name, "".join(secrets.choice(letters) for _ in range(length)))
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


main()
