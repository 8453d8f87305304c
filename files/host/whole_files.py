"""Files that a reader sees as a whole: the former one or the new one."""

import json
import os


def read_json(path):
    """Return what a file holds, or None where there is none or it is not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def sync(path):
    """Have one file, or the names in one directory, survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path, text, mode=0o600, synced=True):
    """
    Write a file of root's by rename; with `synced` a power cut leaves the former one or this one, too.

    One that is written every minute, and made anew by the next round, need not wait for the disk.
    """
    directory, name = os.path.split(path)
    aside = os.path.join(directory, f".{name}.new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(file.fileno(), mode)
        if synced:
            os.fsync(file.fileno())
    os.rename(aside, path)
    if synced:
        sync(directory)
