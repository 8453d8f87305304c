# The processes of one app and its unit. ABOUT: app, user, root.
# mypy: ignore-errors
import os
import pwd

from tests.acceptance.host.common import ABOUT, answer, show, supervisor

UNIT = ABOUT["app"] + ".service"


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def process(pid):
    """Return what is known of one process, or None when it has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            argv = file.read().split("\0")
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            cgroup = file.read()
        cwd, exe = os.readlink(f"/proc/{pid}/cwd"), os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None  # it ended meanwhile, or is a kernel thread
    users = sorted({user_name(int(uid)) for uid in status["Uid"].split()})
    return {
        "pid": int(pid), "parent": int(status["PPid"]), "users": users, "command": " ".join(argv[:4]).strip(),
        "argv": argv[:2], "cwd": cwd, "exe": exe, "in_unit": f"/{UNIT}" in cgroup,
        "capabilities": status["CapEff"],
    }  # fmt: skip


def everything():
    found = {int(pid): process(pid) for pid in filter(str.isdigit, os.listdir("/proc"))}
    return {pid: one for pid, one in found.items() if one is not None}


def mark_descendants(main, found):
    """Mark what the unit's own process started, wherever control groups put it."""
    family = {main}
    while True:
        more = {pid for pid, one in found.items() if one["parent"] in family} - family
        if not more:
            break
        family |= more
    for pid, one in found.items():
        one["in_unit"] = one["in_unit"] or pid in family


def ancestors(found):
    """Return this program and what it was started by: their arguments name the app's files as well."""
    pid, line = os.getpid(), set()
    while pid in found:
        line.add(pid)
        pid = found[pid]["parent"]
    return line


def strangers(found):
    """Return processes of the app's own programs that run under another user."""
    prefix = ABOUT["root"] + "/"
    own = ancestors(found)
    return [
        one
        for pid, one in found.items()
        if pid not in own
        and one["users"] != [ABOUT["user"]]
        and any(path.startswith(prefix) for path in [*one["argv"], one["exe"]])
    ]


unit = show(UNIT, "ActiveState", "SubState", "UnitFileState", "MainPID", "User", "NeedDaemonReload")
found = everything()
main_pid = int(unit["MainPID"])
if main_pid:
    mark_descendants(main_pid, found)
services = supervisor(ABOUT["app"])
answer(
    {
        "unit": unit,
        "services": {
            name: {
                "state": info["statename"],
                "pid": info["pid"],
                "why": info["spawnerr"] or info["description"],
                "process": found.get(info["pid"]),
                "logs": [info["stdout_logfile"], info["stderr_logfile"]],
            }
            for name, info in services.items()
        },
        "processes": [one for one in found.values() if one["in_unit"]],
        "strangers": strangers(found),
        "current": os.path.realpath(ABOUT["root"] + "/current"),
    }
)
