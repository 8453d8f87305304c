# Whether a backup is there, whole and the right one. A part of restore-*.py.
import hashlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

from restore_common import FailedError

BACKUPS = "/var/backups"
STAMP = re.compile(r"\d{8}T\d{6}Z")


def stamps(app):
    """Return the backups of an app on this host, the oldest first."""
    base = f"{BACKUPS}/{app}"
    names = sorted(os.listdir(base)) if os.path.isdir(base) else []
    return [one for one in names if STAMP.fullmatch(one) and os.path.isfile(f"{base}/{one}/backup.json")]


def choose(app, wanted):
    """Return the directory of the backup that is asked for by its stamp, or as "newest"."""
    known = stamps(app)
    offer = f"there are: {', '.join(known[-10:])}" if known else f"there is none in {BACKUPS}/{app}"
    if wanted == "newest" and known:
        if known[-1] > time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()):
            raise FailedError(
                f"which backup of {app} is the newest cannot be told: {known[-1]} is of a time to come, "
                f"by a clock that was wrong then or is now; name one by its stamp; {offer}"
            )
        return f"{BACKUPS}/{app}/{known[-1]}"
    if wanted in known:
        return f"{BACKUPS}/{app}/{wanted}"
    if os.path.isdir(f"{BACKUPS}/{app}/{wanted}") and STAMP.fullmatch(wanted):
        raise FailedError(f"backup {wanted} of {app} has no backup.json: it was never finished; {offer}")
    raise FailedError(
        f"there is no backup {wanted!r} of {app} on this host (what has that name on your machine is "
        f"./{wanted}); {offer}"
    )


def about(directory):
    """Return what a backup says of itself."""
    try:
        with open(f"{directory}/backup.json", encoding="utf-8") as file:
            found = json.load(file)
    except ValueError as error:
        raise FailedError(f"{directory}/backup.json is damaged ({error}); choose another backup") from None
    missing = [key for key in ("app", "database", "tables", "files", "stamp") if key not in found]
    if missing:
        raise FailedError(f"{directory}/backup.json has no {', '.join(missing)}; choose another backup")
    return found


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def verify(directory, files):
    """Refuse a backup of which one byte is not as it was written."""
    there = {
        os.path.relpath(os.path.join(where, name), directory)
        for where, _, names in os.walk(directory)
        for name in names
    }
    missing = sorted(files.keys() - there)
    if missing:
        raise FailedError(f"{directory} is not whole: {missing[0]} is missing; choose another backup")
    foreign = sorted(one for one in there - files.keys() if one.startswith("dump/"))
    if foreign:
        raise FailedError(f"{directory} has {foreign[0]}, which it was not made with; choose another backup")
    names = sorted(files, key=lambda name: -os.path.getsize(f"{directory}/{name}"))
    # hashlib lets go of Python's lock: two at a time take half as long.
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(names, pool.map(lambda name: digest(f"{directory}/{name}"), names), strict=True))
    wrong = [name for name in names if found[name] != files[name]]
    if wrong:
        raise FailedError(
            f"{directory}/{wrong[0]} is not what was backed up: its checksum differs; choose another backup"
        )


def fits(found, app):
    """Refuse a backup of another app."""
    if found["app"] != app:
        raise FailedError(
            f"this is a backup of {found['app']!r}, not of {app!r}; say --data app={found['app']}"
        )


def old_enough(version, server):
    """Refuse what a newer server has dumped: nothing says that an older one understands it."""
    major = int(str(version).split(".")[0])
    major = major // 10000 if major >= 10000 else major
    if major > server // 10000:
        raise FailedError(
            f"it was dumped from PostgreSQL {major}, and this host has {server // 10000}; "
            "restore it on a host with that version or a later one"
        )
