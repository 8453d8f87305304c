# The processes of one app and its units. ABOUT: app, units, user, root.
# mypy: ignore-errors
import os
import pwd

from tests.acceptance.host.common import ABOUT, answer, services, show

UNITS = [ABOUT["app"] + ".service"] if ABOUT["units"] is None else [*ABOUT["units"].values()]


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
        "argv": argv[:2], "cwd": cwd, "exe": exe, "in_unit": any(f"/{unit}" in cgroup for unit in UNITS),
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


def stands(name):
    """Return where a service of the current release is to stand, its part's link followed."""
    where, key = f"supervisor/{name}.conf", "directory ="
    if ABOUT["units"] is not None:
        where, key = f"systemd/{ABOUT['units'][name]}", "WorkingDirectory="
    with open(f"{ABOUT['root']}/current/{where}", encoding="utf-8") as file:
        found = [line.split("=", 1)[1].strip() for line in file if line.startswith(key)]
    return os.path.realpath(found[0]) if found else None


def own_units():
    """Return the units of this host that say they are the app's."""
    places = ["/etc/systemd/system/" + name for name in os.listdir("/etc/systemd/system")]
    marked = []
    for path in places:
        if path.endswith(".service") and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                marked += [os.path.basename(path)] * (f"App={ABOUT['app']}\n" in file)
    return sorted(marked)


KEYS = ("ActiveState", "SubState", "UnitFileState", "MainPID", "User", "NeedDaemonReload")
units = {unit: show(unit, *KEYS) for unit in UNITS}
found = everything()
for main_pid in (int(unit["MainPID"]) for unit in units.values()):
    if main_pid:
        mark_descendants(main_pid, found)
answer(
    {
        "units": units,
        "own_units": own_units(),
        "services": {
            name: {
                "state": info["statename"],
                "pid": info["pid"],
                "why": info["spawnerr"] or info["description"],
                "process": found.get(info["pid"]),
                "logs": [info["stdout_logfile"], info["stderr_logfile"]],
                "stands": stands(name),
            }
            for name, info in services(ABOUT).items()
        },
        "processes": [one for one in found.values() if one["in_unit"]],
        "strangers": strangers(found),
    }
)
