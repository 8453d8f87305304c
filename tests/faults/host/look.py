# Print, as JSON, everything by which one release of rec_io can be told from another on this host, what is
# left of a run, and whether all of it works.
# usage: python3 -I - quick|full HEALTH < look.py      HEALTH is JSON, port → path of its health page
import contextlib
import glob
import hashlib
import http.client
import json
import marshal
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import xmlrpc.client

APP = "/opt/rec_io"
HOME = "/var/lib/hostwright"
RELEASES = APP + "/releases"
VENVS = APP + "/venvs"
SOCKET = "/run/rec_io/supervisor.sock"
# Of any release: where a deploy writes. The app's own shared directories are not a deploy's.
PLACES = ("/etc", "/usr/local", HOME)
DATABASE = "rec_io_db"
UNSEEN = (OSError, ValueError, EOFError, KeyError, TypeError, xmlrpc.client.Error, http.client.HTTPException)


def output(*command, stdin=None):
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip()}"
    return done.stdout.strip()


def words(command):
    """Return what a command says whatever its exit code: that of systemctl is a part of the answer."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def described(path):
    found = os.lstat(path)
    about = f"{found.st_uid}:{found.st_gid} {found.st_mode & 0o7777:o}"
    if os.path.islink(path):
        return f"link {os.readlink(path)}"
    return f"{about} {digest(path)}" if os.path.isfile(path) else f"{about} other"


def walked(top):
    for where, directories, names in os.walk(top):
        directories.sort()
        for name in sorted(names):
            yield f"{where}/{name}"
        for name in directories:
            if os.path.islink(f"{where}/{name}"):
                yield f"{where}/{name}"


def tree(top):
    """Return one digest of a directory; compiled files hold times, they only have to be whole."""
    total = hashlib.sha256()
    for path in walked(top):
        if path.endswith(".pyc"):
            with open(path, "rb") as file:
                marshal.loads(file.read()[16:])
        else:
            total.update(f"{path[len(top) :]} {described(path)}\n".encode())
    return total.hexdigest()[:16]


def link(path):
    return os.readlink(path) if os.path.islink(path) else None


# --- what a release is


def links():
    parts = {name: link(f"{APP}/parts/{name}") for name in sorted(os.listdir(APP + "/parts"))}
    return {"current": link(APP + "/current"), "previous": link(APP + "/previous"), "parts": parts}


def present(top):
    return [name for name in sorted(os.listdir(top)) if not name.startswith(".")]


def files():
    return {
        path: described(path)
        for place in PLACES[:2]
        for path in walked(place)
        if not path.startswith("/etc/ssl/certs/")
    }


class Transport(xmlrpc.client.Transport):
    def make_connection(self, host):
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        connection.sock.connect(SOCKET)
        return connection


def programs():
    """Return each service as supervisor has it configured, and as its process really is."""
    asked = xmlrpc.client.ServerProxy("http://localhost", transport=Transport()).supervisor
    configured = {one["name"]: one for one in asked.getAllConfigInfo()}
    found = {}
    for one in asked.getAllProcessInfo():
        about = configured.get(one["name"], {})
        kept = ("command", "directory", "startsecs", "stopwaitsecs", "stdout_logfile", "uid")
        found[one["name"]] = {
            "state": one["statename"],
            "configured": {key: about[key] for key in kept if key in about},
            "runs": process(one["pid"]) if one["pid"] else None,
        }
    return found


def process(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read().decode().split("\0")
    with open(f"/proc/{pid}/environ", "rb") as file:
        given = [word for word in file.read().decode().split("\0") if word.startswith("REC_")]
    # Among them is a password.
    environment = hashlib.sha256("\n".join(sorted(given)).encode()).hexdigest()[:16]
    return {"cwd": os.readlink(f"/proc/{pid}/cwd"), "command": command, "environment": environment}


def pages(health):
    found = {}
    for port, path in health.items():
        found[port] = page(f"http://127.0.0.1:{port}{path}")[0]
    status, text = page("http://127.0.0.1:3000/")
    return {"health": found, "main": f"{status} {hashlib.sha256(text).hexdigest()[:16]}"}


def page(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except OSError:
        return None, b""


def sql(query, database="postgres"):
    psql = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", query)
    said = output("runuser", "-u", "postgres", "--", *psql)
    if said.startswith("exit code"):
        raise OSError(said)
    return json.loads(said)


def postgres():
    # What the server runs with, not what its files say; without what differs from start to start.
    return sql(
        "select json_build_object("
        "'settings', (select json_object_agg(name, setting order by name) from pg_settings"
        " where source not in ('override', 'client', 'session', 'environment variable')),"
        "'pending_restart', (select count(*) from pg_settings where pending_restart),"
        "'roles', (select json_object_agg(rolname, rolconnlimit order by rolname) from pg_roles),"
        "'databases', (select json_agg(datname order by datname) from pg_database))"
    )


def firewall():
    rules = output("iptables-save", "-t", "filter").splitlines()
    return {
        "status": output("ufw", "status", "verbose").splitlines(),
        "kernel": [line for line in rules if line.startswith(("-A ufw-user-input", ":INPUT", ":FORWARD"))],
    }


def swap():
    path = "/swapfile"
    # /proc/swaps is the machine's; the kernel refuses to grow a file that is in use as swap.
    tried = output("fallocate", "--keep-size", "--offset", str((1 << 63) - 4096), "--length", "4096", path)
    return {"size": os.path.getsize(path), "active": "Text file busy" in tried, "mode": os.stat(path).st_mode}


def system():
    units = ("rec_io.service", "postgresql.service", "ssh.service", "ufw.service", "supervisor.service")
    asked = ("systemctl", "--plain", "--no-legend", "list-units", "--state=failed")
    return {
        "running": words(("systemctl", "is-system-running")),
        "failed": words(asked),
        "active": words(("systemctl", "is-active", *units)),
        "enabled": words(("systemctl", "is-enabled", *units)),
    }


# --- data


def data():
    return sql(
        "select json_build_object("
        "'ledger', (select json_agg(name order by name) from schema_migrations),"
        "'probe', (select json_agg(n order by n) from fault_probe),"
        "'trades', (select coalesce(max(id), 0) from trades))",
        DATABASE,
    )


def schema():
    dump = output("runuser", "-u", "postgres", "--", "pg_dump", "--schema-only", DATABASE)
    lines = [one for one in dump.splitlines() if not one.startswith(("\\restrict", "\\unrestrict", "--"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


# --- what a run leaves


def leftovers():
    found = [
        path for place in (*PLACES, APP) for path in walked(place)
        if path.endswith((".hostwright-undo", ".new")) and not path.startswith(APP + "/shared/")
        and not any(part.startswith(".") for part in path[len(APP) :].split("/")[:3])
    ]  # fmt: skip
    found += glob.glob(HOME + "/trial*")
    units = ("hostwright-undo.timer", "hostwright-watch.service", "hostwright-undo.service")
    for unit in units:
        state = " ".join(words(("systemctl", "is-active", unit)))
        found += [f"{unit} {state}"] if state != "inactive" else []
    armed = words(("systemctl", "--plain", "--no-legend", "list-units", "--all", "hostwright-*"))
    # Those of backups stay for good.
    of_a_run = ("hostwright-undo", "hostwright-migrate")
    found += [word for word in armed if word.startswith(of_a_run) and word not in units]
    found += [f"process {pid} of a run: {name}" for pid, name in of_runs()]
    return sorted(found)


def of_runs():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            with open(f"/proc/{pid}/environ", "rb") as file:
                tagged = b"\0HOSTWRIGHT_RUN=" in b"\0" + file.read()
            if tagged:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    yield pid, file.read().strip()


def lock():
    """Return who holds the host: "" for nobody, or a run that is cut off and keeps nobody out."""
    path = "/run/hostwright/lock"
    try:
        with open(path, encoding="utf-8") as file:
            about = dict(line.split("=", 1) for line in file.read().splitlines())
        with (
            open("/proc/uptime", encoding="utf-8") as now,
            open("/run/hostwright/heard", encoding="utf-8") as heard,
        ):
            age = float(now.read().split()[0]) - float(heard.read())
    except FileNotFoundError:
        return ""
    pid, _, started = about.get("session", "").partition(" ")
    if age > int(about["expires"]) or (pid and start_of(pid) != started):
        return ""
    return f"{about['run']} (session {pid}, {age:.0f} s old)"


def start_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return None


def asked_for(mode, health):
    release = {
        "links": links, "releases": lambda: present(RELEASES), "venvs": lambda: present(VENVS),
        "programs": programs, "pages": lambda: pages(health), "swap": swap, "postgres": postgres,
    }  # fmt: skip
    every = {"release": release, "data": {"rows": data}, "left": {"files": leftovers, "lock": lock}}
    if mode == "full":
        release |= {"files": files, "firewall": firewall, "system": system}
        release["releases"] = lambda: {name: tree(f"{RELEASES}/{name}") for name in present(RELEASES)}
        release["venvs"] = lambda: {name: tree(f"{VENVS}/{name}") for name in present(VENVS)}
        every["data"]["schema"] = schema
    return every


def main():
    mode, health = sys.argv[1], json.loads(sys.argv[2])
    seen = {}
    for group, parts in asked_for(mode, health).items():
        seen[group] = {}
        for name, part in parts.items():
            # In the middle of a change anything may be missing; that is what is seen, not a failure to look.
            try:
                seen[group][name] = part()
            except UNSEEN as error:
                seen[group][name] = f"cannot be seen: {type(error).__name__}: {error}"
    print(json.dumps(seen))


main()
