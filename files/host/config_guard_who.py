# Which process it was: name, program, user, unit, and those that started it. Never its arguments, nor its
# environment, but for two names of ours and supervisor's. A part of config-guard.py.
import os
import pwd

TAG, SERVICE = b"HOSTWRIGHT_RUN=", b"SUPERVISOR_PROCESS_NAME="
PARENTS = 12
NOBODY = 2**32 - 1


def read(path):
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(handle, 1 << 17)
    except OSError:
        return b""
    finally:
        os.close(handle)


def stat_of(pid):
    """Return name, parent and start of a process; None where it has ended."""
    before, sign, after = read(f"/proc/{pid}/stat").rpartition(b")")
    if not sign:
        return None
    fields = after.split()
    return before.partition(b"(")[2].decode("utf-8", "replace"), int(fields[1]), int(fields[19])


def identify(pid):
    """Return what is known of a process, at once: it may end at any moment."""
    stat = stat_of(pid)
    if stat is None:
        return {"pid": pid, "name": None}
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        exe = None  # it has ended, and nobody has taken note of that yet
    environment = read(f"/proc/{pid}/environ").split(b"\0")
    groups, status = read(f"/proc/{pid}/cgroup"), read(f"/proc/{pid}/status")
    login = read(f"/proc/{pid}/loginuid").decode() or str(NOBODY)
    uid = next((int(line.split()[2]) for line in status.splitlines() if line.startswith(b"Uid:")), None)
    return {
        "pid": pid,
        "started": stat[2],
        "name": stat[0],
        "exe": exe,
        "uid": uid,
        "user": user(uid),
        "login": user(int(login)) if int(login) != NOBODY else None,
        "unit": unit(groups.decode("utf-8", "replace")),
        "service": value(environment, SERVICE),
        "tag": value(environment, TAG),
        "parents": parents(stat[1]),
    }


def user(uid):
    if uid is None:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def value(environment, name):
    return next(
        (one[len(name) :].decode("utf-8", "replace") for one in environment if one.startswith(name)), None
    )


def unit(groups):
    """Return the innermost unit of systemd's that a process is in; "" for none."""
    for line in groups.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or controllers == "name=systemd":
            units = [one for one in path.split("/") if one.endswith((".service", ".scope"))]
            if units:
                return units[-1]
    return ""


def parents(pid):
    found = []
    while pid > 0 and len(found) < PARENTS:
        stat = stat_of(pid)
        if stat is None:
            break
        found.append((pid, stat[0]))
        pid = stat[1]
    return found


def is_of_run(who, run):
    """
    Return whether a process is one of the run's that is at work: root's, and in its login or with its name.

    One that had ended before all of it could be read counts for the run's, since nothing else is known; so
    does systemd itself, which makes the links of units.
    """
    if run is None:
        return False
    if who.get("name") is None or who["uid"] is None or who["pid"] == 1:
        return True
    if who["uid"] != 0:
        return False
    if who["exe"] is None:
        return True
    of_login = run[1] > 1 and any(pid == run[1] for pid, _ in who["parents"])
    return of_login or who["tag"] == run[0] or who["unit"] == "hostwright-undo.service"


def told(who):
    """Return what is recorded of a process."""
    if who is None or who.get("name") is None:
        return who
    about = {key: one for key, one in who.items() if key not in ("started", "tag", "parents", "uid")}
    return {**about, "uid": who["uid"], "chain": [f"{name}({pid})" for pid, name in who["parents"]]}
