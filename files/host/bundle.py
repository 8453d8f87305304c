"""
Files that belong together, and the units that they make run: how they are, or as they are declared.

usage: bundle.py state JSON  "owned" (patterns) and "units" (name to record or null); prints how they are
       bundle.py apply       JSON on standard input: "files" (path to text, mode, user, group), "checks",
                             "write", "remove", "gone", "start", "answers"

A unit's record is a file that it writes when it starts, with the SHA-256 of what it was started with. A check
is a command; a word of it that begins with @/ is a path among the files as they are to be.
"""

import glob
import grp
import hashlib
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
import urllib.request

UNITS = "/etc/systemd/system"
ANSWER_SECONDS = 60


class FailedError(Exception):
    """Something that the person who runs this has to read."""


def call(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


def control(*words):
    done = call("systemctl", "--quiet", *words)
    if done.returncode != 0:
        raise FailedError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")


def described(path):
    if os.path.islink(path):
        return {"link": os.readlink(path)}
    found = os.lstat(path)
    if not os.path.isfile(path):
        return {"sha256": None, "mode": None, "owner": None}
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    owner = f"{name_of(pwd.getpwuid, found.st_uid)}:{name_of(grp.getgrgid, found.st_gid)}"
    return {"sha256": digest, "mode": f"{found.st_mode & 0o7777:04o}", "owner": owner}


def name_of(ask, number):
    try:
        return ask(number)[0]
    except KeyError:
        return str(number)


def unit_state(unit, record):
    """Say what keeps a unit from being as declared, in a word; "" for nothing."""
    if not os.path.exists(f"{UNITS}/{unit}"):
        return "not there"
    words = ["systemctl", "show", "-p", "ActiveState,NeedDaemonReload,UnitFileState", unit]
    shown = dict(line.split("=", 1) for line in call(*words).stdout.splitlines() if "=" in line)
    if shown.get("UnitFileState") != "enabled":
        return "not enabled"
    if shown.get("ActiveState") != "active":
        return "not active"
    if shown.get("NeedDaemonReload") != "no":
        return "not as its file says"
    if record is not None and call("sha256sum", "--check", "--status", record).returncode != 0:
        return "not as its files say"
    return ""


def state(asked):
    paths = {path for pattern in asked["owned"] for path in glob.glob(pattern)}
    return {
        "files": {path: described(path) for path in sorted(paths)},
        "units": {unit: unit_state(unit, record) for unit, record in asked["units"].items()},
    }


def write(path, about, root=""):
    """Write a whole file, or make a link, by rename; below another root it is nobody's yet."""
    place = root + path
    os.makedirs(os.path.dirname(place), exist_ok=True)
    aside = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.hostwright-new")
    if "link" in about:
        if os.path.lexists(aside):
            os.unlink(aside)
        os.symlink(about["link"], aside)
        os.rename(aside, place)
        return
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(about["text"])
        file.flush()
        if not root:
            owner, group = pwd.getpwnam(about["user"]).pw_uid, grp.getgrnam(about["group"]).gr_gid
            os.fchown(file.fileno(), owner, group)
            os.fchmod(file.fileno(), int(about["mode"], 8))
            os.fsync(file.fileno())
    os.rename(aside, place)


def check(given):
    """Have each program read what it is to be given, before anything of it is put in place."""
    with tempfile.TemporaryDirectory(prefix="hostwright-") as scratch:
        for path, about in given["files"].items():
            write(path, about, scratch)
        for words in given["checks"]:
            done = call(*(f"{scratch}{one[1:]}" if one.startswith("@/") else one for one in words))
            if done.returncode != 0:
                said = (done.stdout + done.stderr).replace(scratch, "").strip()
                raise FailedError(f"{words[0]} refuses what is declared; nothing was changed:\n{said}")


def answers(unit, url):
    """Wait until what was started answers; raise with the end of its log where it does not."""
    end = time.monotonic() + ANSWER_SECONDS
    why = ""
    # No proxy of the login: it is this host itself that is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError as error:
            why = str(error)
        time.sleep(0.1)
    log = call("journalctl", "-u", unit, "-n", "10", "--no-pager", "-o", "cat").stdout
    raise FailedError(f"{unit} does not answer on {url} ({why}); the end of its log:\n{log}")


def apply(given):
    check(given)
    for unit in given["gone"]:
        if os.path.exists(f"{UNITS}/{unit}"):
            control("disable", "--now", unit)
    for path in given["remove"]:
        if os.path.lexists(path):
            os.unlink(path)
            print(f"removed {path}")
    for path in given["write"]:
        write(path, given["files"][path])
    if given["start"]:
        control("--no-reload", "enable", *given["start"])
    if given["start"] or any(path.startswith(UNITS) for path in [*given["write"], *given["remove"]]):
        control("daemon-reload")
    for unit in given["start"]:
        # Started anew it is what its files say now.
        control("restart", unit)
    for unit, url in given["answers"].items():
        if unit in given["start"]:
            answers(unit, url)


if __name__ == "__main__":
    if sys.argv[1] == "state":
        print(json.dumps(state(json.loads(sys.argv[2]))))
    else:
        try:
            apply(json.load(sys.stdin))
        except (FailedError, OSError, KeyError) as problem:
            sys.exit(f"bundle: {problem}")
