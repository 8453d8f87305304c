# Why a service that is a systemd unit has to be restarted: a part of systemd-control.py.
import hashlib
import json
import os
import re


def text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def value(body, key):
    found = re.search(rf"^{key}=(.*)$", body or "", re.MULTILINE)
    return found[1] if found else None


def codes(body):
    """Return which code and which packages a unit runs, as far as its release tells."""
    directory = value(body, "WorkingDirectory") or ""
    marker = json.loads(text(os.path.join(directory, ".hostwright.json")) or "{}")
    code = marker.get("parts", {}).get(os.path.basename(directory), directory)
    return code, (value(body, "ExecStart") or "").split(" ")[0]


def changes(old, new):
    """Say in which way a unit differs from the one before."""
    if old is None:
        return ["it is new"]
    if old == new:
        return []
    (code_before, program_before), (code, program) = codes(old), codes(new)
    said = []
    if code_before != code:
        said.append("its code changed")
    if program_before != program:
        said.append("its packages or its program changed")
    places = ("WorkingDirectory", "ExecStart")
    rest = [re.sub(rf"^({'|'.join(places)})=.*$", "", body, flags=re.MULTILINE) for body in (old, new)]
    arguments = [(value(body, "ExecStart") or "").partition(" ")[2] for body in (old, new)]
    if rest[0] != rest[1] or arguments[0] != arguments[1] or not said:
        said.append("its settings changed")
    return said


def outdated(unit, started):
    """Return the files that are not what the running service was started with."""
    record = text(f"{started}/{unit}")
    if record is None:
        return [f"{unit} was not started as it is now"]
    changed = []
    for line in record.splitlines():
        digest, _, path = line.partition("  ")
        try:
            with open(path, "rb") as file:
                same = hashlib.sha256(file.read()).hexdigest() == digest
        except FileNotFoundError:
            same = False
        if not same:
            changed.append(f"{path} changed")
    return changed


def reasons(unit, old, new, now, started):
    """Return why a service has to be started or restarted; empty where it runs as it should."""
    said = changes(old, new)
    if now.get("ActiveState") != "active" or now.get("SubState") != "running":
        return [*said, "it does not run"]
    if said:
        return said
    return outdated(unit, started)
