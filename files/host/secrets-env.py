"""Keep an environment or JSON file whose values are partly secrets that only this host knows.

usage: secrets-env.py check|write PATH USER GROUP MODE SECRETS_DIRECTORY VARIABLES

VARIABLES is JSON. A list of [NAME, "text", VALUE] or [NAME, "secret", SECRET] makes an environment file; an
object makes a JSON file, with {"secret": SECRET} in it replaced. `check` prints "same", "differs" or
"absent"; `write` replaces PATH by rename. Neither ever prints a value.
"""

import grp
import json
import os
import pwd
import re
import sys
import tempfile

HEADER = "# Written by hostwright from group_data/; a change made here is undone by the next run.\n"


def quoted(value: str) -> str:
    """Quote so that systemd, sh and dotenv libraries all read the same value."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+,-]*", value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def secret(directory: str, name: str) -> str:
    # newline="" here and bytes below: a value may have a carriage return, and keeps it.
    with open(os.path.join(directory, name), encoding="utf-8", newline="") as file:
        return file.read().removesuffix("\n")


def replaced(directory: str, value: object) -> object:
    """Return a JSON value with its secrets put in."""
    if isinstance(value, dict) and value.keys() == {"secret"}:
        return secret(directory, value["secret"])
    if isinstance(value, dict):
        return {key: replaced(directory, one) for key, one in value.items()}
    if isinstance(value, list):
        return [replaced(directory, one) for one in value]
    return value


def content(directory: str, variables: "list | dict") -> str:
    if isinstance(variables, dict):
        return json.dumps(replaced(directory, variables), indent=2, ensure_ascii=False) + "\n"
    lines = []
    for name, kind, value in variables:
        if kind == "secret":
            value = secret(directory, value)
        lines.append(f"{name}={quoted(value)}\n")
    return HEADER + "".join(lines)


def state(path: str, user: str, group: str, mode: str, wanted: str) -> str:
    if not os.path.lexists(path):
        return "absent"
    status = os.lstat(path)
    owner = (pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name)
    with open(path, "rb") as file:
        same = file.read() == wanted.encode() and not os.path.islink(path)
    same = same and owner == (user, group) and status.st_mode & 0o7777 == int(mode, 8)
    return "same" if same else "differs"


def write(path: str, user: str, group: str, mode: str, wanted: str) -> None:
    directory, name = os.path.split(path)
    for other in os.listdir(directory):
        # What an earlier, interrupted write left behind.
        if other.startswith(f".{name}.new-"):
            os.unlink(os.path.join(directory, other))
    handle, aside = tempfile.mkstemp(prefix=f".{name}.new-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wanted.encode())
            file.flush()
            os.fsync(file.fileno())
        os.chown(aside, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        os.chmod(aside, int(mode, 8))
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def main() -> None:
    action, path, user, group, mode, directory, variables = sys.argv[1:]
    try:
        wanted = content(directory, json.loads(variables))
    except FileNotFoundError as error:
        if action == "check":
            print("absent")
            return
        sys.exit(f"{path}: secret {error.filename} is not on this host; declare it under 'secrets'")
    if action == "check":
        print(state(path, user, group, mode, wanted))
    else:
        write(path, user, group, mode, wanted)


main()
