# Files and command lines that hold a secret of the app, other than the places made for it.
# ABOUT: allowed [files], secrets_root, secrets [names], places [directories].
# mypy: ignore-errors
import mmap
import os
import re
import stat
import sys

from tests.acceptance.host.common import ABOUT, answer, secret_file

LARGEST = 256 * 1024 * 1024
# What a run kept of a file before it changed it.
KEPT = re.compile(r"(/var/lib/hostwright/snapshots/[^/]+)/files(/.+)")


def allowed(path):
    kept = KEPT.fullmatch(path)
    if kept is None:
        return path in ABOUT["allowed"]
    status = os.stat(kept[1])
    secret = kept[2] in ABOUT["allowed"] or kept[2].startswith(ABOUT["secrets_root"] + "/")
    return secret and (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o700)


def files(place):
    for directory, below, names in os.walk(place):
        below[:] = [name for name in below if os.path.join(directory, name) != ABOUT["secrets_root"]]
        for name in names:
            yield os.path.join(directory, name)


def holds(path, values):
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= LARGEST:
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(value) >= 0 for value in values)


def in_files(values):
    found = []
    for place in ABOUT["places"]:
        for path in files(place):
            try:
                if not allowed(path) and holds(path, values):
                    found.append(path)
            except (OSError, ValueError):
                continue  # it went away, or became empty, meanwhile
    return found


def in_command_lines(values):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read()
        except OSError:
            continue
        if any(value in argv for value in values):
            found.append(
                f"the command line of process {pid}, {argv.split(bytes(1))[0].decode(errors='replace')}"
            )
    return found


secrets = [secret_file(ABOUT["secrets_root"], name).encode() for name in ABOUT["secrets"]]
if not all(secrets):
    sys.exit(f"a secret in {ABOUT['secrets_root']} is empty")
answer({"found": [*in_files(secrets), *in_command_lines(secrets)]})
