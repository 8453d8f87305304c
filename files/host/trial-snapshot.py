# Record how a host is before a run changes it, and arm the undo of that run.
# usage: trial-snapshot.py      one JSON object on standard input, see main()
# What it makes is 0700 and below /var/lib/hostwright:
#   snapshots/RUN/    manifest.json, files/ (copies), packages.txt, roles.sql
#   trial/            while the run is unconfirmed: trial.json and the programs that undo it
import fcntl
import glob
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time

HOME = "/var/lib/hostwright"
LOCK = "/run/hostwright/lock"
UNITS = "/etc/systemd/system"
COPIED = 64 << 20  # a larger file is no configuration
ROOM = 8 << 20  # kept for the undo, which has to work on a disk that the run has filled


class FailedError(Exception):
    """The host could not be recorded; nothing was changed."""


def output(*command):
    """Return what a command says; empty where it is not installed."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def described(path):
    """Return what is at a path, so that a difference can be told later; content by digest."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}
    about = {
        "owner": [found.st_uid, found.st_gid],
        "mode": stat.S_IMODE(found.st_mode),
        "mtime": found.st_mtime_ns,
    }
    if stat.S_ISLNK(found.st_mode):
        return {"kind": "link", "target": os.readlink(path), **about}
    if not stat.S_ISREG(found.st_mode):
        return {"kind": "other"}
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    attributes = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
    return {"kind": "file", **about, "sha256": digest, "size": found.st_size, "attributes": attributes}


def expanded(patterns):
    """Return the paths that patterns name; `~user` is that user's home, a pattern without `*` itself."""
    paths = []
    for pattern in patterns:
        full = os.path.expanduser(pattern)
        if full.startswith("~"):
            continue  # no such user yet
        paths += glob.glob(full) if glob.has_magic(full) else [full]
    return sorted(set(paths))


def record_files(snapshot, touched):
    """Copy every file that the run may touch, with owner, mode, mtime and ACL."""
    files = {}
    for scope, lists in touched["files"].items():
        for path in expanded([*lists["owned"], *lists["kept"]]):
            about = described(path)
            if about["kind"] == "file":
                if about["size"] > COPIED:
                    raise FailedError(f"{path} has {about['size']} bytes; it is no file that a run may touch")
                copy = snapshot + "/files" + path
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy2(path, copy)
                os.chown(copy, *about["owner"])
                # Read after it was described: a copy that differs was changed meanwhile, by somebody else.
                if described(copy)["sha256"] != about["sha256"]:
                    raise FailedError(f"{path} changed while it was saved; run again")
            files[path] = {"scope": scope, **about}
    return files


def record_units(touched):
    """Return the state of each unit that the run may start, stop, enable or replace."""
    keys = "LoadState,ActiveState,SubState,UnitFileState,MainPID"
    units = {}
    for unit, about in touched["units"].items():
        shown = output("systemctl", "show", "-p", keys, unit)
        units[unit] = {**about, **dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)}
    return units


def record_swap(path):
    if path is None:
        return None
    # The kernel refuses space beyond any end to a file that is in use as swap; swap-state.sh says more.
    said = subprocess.run(
        ["fallocate", "--keep-size", "--offset", str((1 << 63) - 4096), "--length", "4096", path],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False,
    ).stderr if os.path.exists(path) else ""  # fmt: skip
    size = os.path.getsize(path) if os.path.exists(path) else None
    return {"path": path, "size": size, "active": "Text file busy" in said}


def record_sysctls(names):
    values = {}
    for name in names:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="utf-8") as file:
            values[name] = file.read().strip()
    return values


def record_users(names):
    known = {user.pw_name: list(user)[2:] for user in pwd.getpwall()}
    return {name: known.get(name) for name in names}


def record_roles(snapshot, programs, touched, clusters):
    """Save the attributes and verifiers of roles as the statement that brings them back."""
    # Half installed, there may be a psql already that finds no server.
    cluster, roles = touched["cluster"], touched["roles"]
    mine = [clusters.get(cluster, "")] if cluster else clusters.values()
    online = any(status.startswith("online") for status in mine)
    with open(snapshot + "/roles.sql", "w", encoding="utf-8") as file:
        if roles and online:
            file.write(run_program(programs, "trial-roles.sh", "record", cluster or "", *roles))


def run_program(programs, name, *arguments):
    runner = (
        ["sh", "-c", programs[name], name]
        if name.endswith(".sh")
        else ["python3", "-I", "-c", programs[name]]
    )
    done = subprocess.run([*runner, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FailedError(f"{name}: {done.stderr.strip()}")
    return done.stdout


def record_apps(touched, programs):
    apps = {}
    for app, about in touched["apps"].items():
        link = about["root"] + "/current"
        current = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
        services = json.loads(run_program(programs, *about["state"])) if current else {}
        apps[app] = {**about, "current": current, "services": services}
    return apps


def record(given, snapshot):
    touched, programs = given["touched"], given["programs"]
    os.makedirs(snapshot + "/files")
    clusters = output("pg_lsclusters", "-h").splitlines()
    manifest = {
        "run": given["run"],
        "made": time.time(),
        "files": record_files(snapshot, touched),
        "patterns": touched["files"],
        "units": record_units(touched),
        "swap": record_swap(touched["swap"]),
        "sysctls": record_sysctls(touched["sysctls"]),
        "users": record_users(touched["users"]),
        "cluster": touched["cluster"],
        "clusters": {"/".join(line.split()[:2]): line.split()[3] for line in clusters},
        "apps": record_apps(touched, programs),
        "effects": touched["effects"],
        "firewall": output("ufw", "status").splitlines()[:1],
    }
    record_roles(snapshot, programs, touched, manifest["clusters"])
    with open(snapshot + "/packages.txt", "w", encoding="utf-8") as file:
        file.write(output("dpkg-query", "-W", "-f", "${binary:Package} ${Version} ${db:Status-Abbrev}\n"))
    write(snapshot + "/manifest.json", json.dumps(manifest, indent=1, sort_keys=True))


def write(path, text):
    """Write a whole file by rename; return whether it is new."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
    return True


def arm(given, snapshot):
    """Put the programs of the undo into place; from the rename on the host undoes the run by itself."""
    aside = HOME + "/.trial.new"
    shutil.rmtree(aside, ignore_errors=True)
    os.mkdir(aside, 0o700)
    for name, text in given["programs"].items():
        write(f"{aside}/{name}", text)
    with open(aside + "/room", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, ROOM)
    trial = {"run": given["run"], "snapshot": snapshot, "seconds": given["seconds"], "armed": time.time()}
    write(aside + "/trial.json", json.dumps({**trial, "session": given["session"]}))
    changed = [write(f"{UNITS}/{name}", text) for name, text in given["units"].items()]
    for name in given["units"]:
        os.chmod(f"{UNITS}/{name}", 0o644)
    systemctl("--quiet", "--no-reload", "enable", "hostwright-undo.service")
    # Units that systemd never heard of it reads by itself, in no time.
    if any(changed) and "yes" in output("systemctl", "show", "-p", "NeedDaemonReload", *given["units"]):
        systemctl("daemon-reload")
    # One that waits to be begun again is of an earlier trial, and would undo this one.
    systemctl("stop", "hostwright-undo.service")
    subprocess.run(["sync", "-f", HOME, UNITS], check=True)
    # Before there is a trial: cut off between the two, a timer without one does nothing; the other way round
    # a host would stay as it is until its next boot.
    systemctl("restart", "hostwright-undo.timer")
    os.rename(aside, HOME + "/trial")
    subprocess.run(["sync", HOME], check=True)
    systemctl("restart", "hostwright-watch.service")


def locked_by(run):
    """Return whether a run still holds the lock: another one may have come and gone since it was taken."""
    try:
        with open(LOCK, encoding="utf-8") as file:
            return f"run={run}\n" in file.read()
    except FileNotFoundError:
        return False


def systemctl(*arguments):
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FailedError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")


def main():
    os.umask(0o077)
    given = json.load(sys.stdin)
    os.makedirs(HOME, mode=0o755, exist_ok=True)
    os.chmod(HOME, 0o755)
    snapshot = f"{HOME}/snapshots/{given['run']['id']}"
    with open(HOME + "/.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(HOME + "/trial"):
            raise FailedError("another run is on trial here; it confirms or undoes itself; then run again")
        if not locked_by(given["run"]["id"]):
            raise FailedError("this run gave no sign of life for too long and lost its lock; run again")
        shutil.rmtree(snapshot, ignore_errors=True)
        os.makedirs(snapshot)
        try:
            record(given, snapshot)
            arm(given, snapshot)
        except BaseException:
            if not os.path.exists(HOME + "/trial"):
                shutil.rmtree(snapshot, ignore_errors=True)
            raise


try:
    main()
except (FailedError, OSError, subprocess.SubprocessError) as error:
    print(f"the host could not be recorded: {error}; nothing was changed", file=sys.stderr)
    sys.exit(1)
