"""Files of health.py: read where they are whole, written by rename."""

import json
import os


def say(line):
    # The unit keeps what is less than a notice out of the journal: systemd's own two lines a round.
    level = "<5>" if "JOURNAL_STREAM" in os.environ else ""
    print(f"{level}{line}", flush=True)


def read_json(path):
    """Return what a file holds, or None where there is none or it is not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write(path, text, mode):
    """
    Write a whole file by rename: a reader sees the former one or this one.

    It is not synced to the disk: it is written every minute, and after a power cut the next round makes it
    anew.
    """
    aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
    os.rename(aside, path)


def json_lines(path, count):
    """Return the last whole lines of a file as JSON, the oldest first; none where there is none."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - 262144))
            lines = file.read().decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for line in lines[-count:]:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # cut off by the start of what was read, or by a crash
    return found
