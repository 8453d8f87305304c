# Services as their process managers see them, and how a supervisor of ours is closed to others.
import configparser
import glob
import os
import pwd
import stat

from diagnose_common import blocks, problem, read, run
from diagnose_processes import started_at, user_of
from supervisor_rpc import NO_ANSWER, supervisor_at

ANSWER_SECONDS = 3.0
UNIT_KEYS = "Id,LoadState,ActiveState,SubState,Result,MainPID,NRestarts,InvocationID,UnitFileState"


def supervisor_answer(path):
    """Return what a supervisor says of its programs, name to information; a problem where it does not."""
    try:
        return {info["name"]: info for info in supervisor_at(path, ANSWER_SECONDS).getAllProcessInfo()}
    except NO_ANSWER as error:
        problem("services", f"the supervisor does not answer on {path}: {error}")
        return {}


def units(names):
    """Return unit → systemd's properties."""
    if not names:
        return {}
    return {one["Id"]: one for one in blocks(run("systemctl", "show", "-p", UNIT_KEYS, "--", *names))}


def supervised(app, infos, told, now):
    """Return service → state of an app that has a supervisor; one that it does not know is MISSING."""
    restarts, recovery = told if told is not None else (None, {})
    found = {}
    for name in dict.fromkeys([*app["services"], *infos]):
        info = infos.get(name)
        pid = info["pid"] if info else 0
        found[name] = {
            "declared": name in app["services"],
            "state": info["statename"] if info else "MISSING",
            "pid": pid or None,
            "uptime": round(max(0.0, now - info["start"]), 1) if pid else None,
            "restarts": restarts.get(name, 0) if restarts is not None else None,
            "recovery": recovery.get(name),
            "user": user_of(pid) if pid else None,
        }
    return found


def of_systemd(app, shown, now):
    """Return service → state of an app whose services are units; what runs and is in order is RUNNING."""
    found = {}
    for name, unit in app["services"].items():
        one = shown.get(unit, {})
        pid = int(one.get("MainPID") or 0)
        state = (one.get("ActiveState"), one.get("SubState"))
        word = "RUNNING" if state == ("active", "running") else str(one.get("SubState") or "missing").upper()
        try:
            uptime = round(max(0.0, now - started_at(pid)), 1) if pid else None
        except (OSError, ValueError, IndexError):
            pid, uptime = 0, None
        found[name] = {
            "declared": True,
            "state": "MISSING" if one.get("LoadState") == "not-found" else word,
            "pid": pid or None,
            "uptime": uptime,
            "restarts": int(one.get("NRestarts") or 0),
            "recovery": None,
            "user": user_of(pid) if pid else None,
        }
    return found


def read_programs_of(path):
    """Return section → options of a supervisor's configuration, with what it includes."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    parser.read_string(read(path))
    included = parser.get("include", "files", fallback="").split()
    for pattern in included:
        place = pattern if pattern.startswith("/") else os.path.join(os.path.dirname(path), pattern)
        for file in sorted(glob.glob(place)):
            parser.read_string(read(file))
    return {name: dict(parser.items(name)) for name in parser.sections()}


def hardening(app, pid):
    """Return how an app's supervisor is closed: its socket, whom it runs as, paths that are not absolute."""
    sections = read_programs_of(app["config"])
    path = sections.get("unix_http_server", {}).get("file")
    relative = sorted(
        f"{name.partition(':')[2]} {key}"
        for name, options in sections.items()
        if name.startswith("program:")
        for key in ("command", "directory", "stdout_logfile", "stderr_logfile")
        if options.get(key) and not options[key].startswith(("/", "NONE", "AUTO", "syslog"))
    )
    found = {
        "socket": path,
        "mode": None,
        "owner": None,
        "over_network": "inet_http_server" in sections,
        "relative": relative,
        "user": user_of(pid) if pid else None,
        "findings": [],
    }
    try:
        about = os.stat(path)
        found["mode"] = f"{stat.S_IMODE(about.st_mode):04o}"
        found["owner"] = pwd.getpwuid(about.st_uid).pw_name
    except (OSError, KeyError, TypeError):
        pass  # the findings say so
    found["findings"] = weaknesses(found)
    return found


def weaknesses(found):
    """Return in words what is not as it should be."""
    said = []
    if found["socket"] is None:
        said.append("it has no socket")
    elif not found["socket"].startswith("/run/"):
        said.append(f"its socket is {found['socket']}: in /run nobody tidies it away")
    if found["socket"] is not None and found["mode"] is None:
        said.append(f"its socket {found['socket']} is not there")
    if found["mode"] is not None and int(found["mode"], 8) & 0o007:
        said.append(f"its socket has mode {found['mode']}: everybody on the host may stop services")
    if found["over_network"]:
        said.append("it answers over the network: inet_http_server is set")
    if found["user"] == "root":
        said.append("it runs as root")
    return said + [f"{one} is a relative path" for one in found["relative"]]
