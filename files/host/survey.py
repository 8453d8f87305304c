# Print, as JSON, what a host is made of and what runs on it, changing nothing.
# usage: survey.py ABOUT    JSON: port, packages, patterns, apps (name to root, database), ledger (SQL), salt
# What may hold a secret is told as "***" and some digits of a salted digest: enough to see it differ.
import fnmatch
import hashlib
import hmac
import json
import os
import platform
import re
import ssl
import subprocess
import sys

ABOUT = json.loads(sys.argv[1])
LEDGERS = ("/var/log/hostwright/ledger.jsonl.1", "/var/log/hostwright/ledger.jsonl")
DEPLOYED = ("confirmed", "unchanged")
SECONDS = 20
# By their name, or by what is in them: a connection string with a password, a command that fetches one.
SECRET = re.compile(r"conninfo|passphrase|passw|secret|token|private_key", re.IGNORECASE)
HOLDS = re.compile(r"(pass(word|wd|phrase)?|secret|token|key)\s*=|://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
# Of all settings, those that are not the default; not where Debian puts the files of this version.
SETTINGS = """
select jsonb_build_object(
    'version', current_setting('server_version'),
    'locale', (select datcollate || ', ' || pg_encoding_to_char(encoding)
               from pg_database where datname = 'template1'),
    'settings', jsonb_object_agg(name, current_setting(name)),
    'changed', jsonb_agg(name order by name) filter (where name = 'data_checksums' or
        source not in ('default', 'override', 'client', 'session', 'database', 'user')
        and setting is distinct from boot_val))
from pg_settings
where name not in ('config_file', 'data_directory', 'hba_file', 'ident_file', 'external_pid_file',
                   'cluster_name', 'stats_temp_directory', 'application_name');
"""
problems = []


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def pairs(path):
    """Return the NAME=VALUE lines of a file that shells read."""
    found = (line.partition("=") for line in read(path).splitlines() if "=" in line and line[:1] != "#")
    return {name.strip(): value.strip().strip("\"'") for name, _, value in found}


def meminfo(name):
    found = re.search(rf"^{name}: *(\d+) kB", read("/proc/meminfo"), re.MULTILINE)
    return gib(int(found[1]) * 1024) if found else None


def gib(count):
    return f"{count / 2**30:.1f} GiB"


def time_zone():
    link = os.path.realpath("/etc/localtime")
    if "/zoneinfo/" in link:
        return link.rpartition("/zoneinfo/")[2]
    return read("/etc/timezone").strip() or "UTC"


def locale():
    found = pairs("/etc/default/locale") or pairs("/etc/locale.conf")
    return found.get("LC_ALL") or found.get("LANG") or "not set"


def system():
    about, disk = pairs("/etc/os-release"), os.statvfs("/")
    return {
        "distribution": about.get("PRETTY_NAME"),
        "release": read("/etc/debian_version").strip() or about.get("VERSION_ID"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": meminfo("MemTotal"),
        "swap": meminfo("SwapTotal"),
        "disk": gib(disk.f_blocks * disk.f_frsize),
        "time_zone": time_zone(),
        "locale": locale(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def packages():
    """Return the versions of the packages that are asked for, and of those that their patterns name."""
    shown = "${db:Status-Status} ${Package} ${Version}\n"
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", shown], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    installed = {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}
    return {
        name: version
        for name, version in installed.items()
        if name in ABOUT["packages"] or any(fnmatch.fnmatch(name, one) for one in ABOUT["patterns"])
    }


def psql(statement, database):
    """Return the JSON that a statement gives; None where it gives nothing."""
    words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-p", str(ABOUT["port"]), "-d", database]
    done = subprocess.run(
        ["runuser", "-u", "postgres", "--", *words], input=statement, cwd="/", text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        said = next((line for line in lines if "error:" in line.lower()), lines[0] if lines else "no reason")
        raise ValueError(f"{database}: {said}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def told(name, value):
    if not SECRET.search(name) and not HOLDS.search(value):
        return value
    digest = hmac.new(ABOUT["salt"].encode(), value.encode(), hashlib.sha256).hexdigest()
    return f"*** {digest[:8]}" if value else value


def postgresql():
    """Return what the server says of itself; nothing where there is none."""
    if not os.path.exists("/usr/bin/psql"):
        return {}
    try:
        found = psql(SETTINGS, "postgres")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        problems.append(f"PostgreSQL does not answer: {error}")
        return {}
    found["settings"] = {name: told(name, value) for name, value in found["settings"].items()}
    return found


def migrations(database):
    """Return the names of what a database has had, each with some digits of its digest."""
    # A migration that is under way holds its table for as long as it likes.
    rows = psql("set lock_timeout = '5s';\n" + ABOUT["ledger"], database) or []
    return [
        " ".join([row["name"].removesuffix(".sql"), *([row["sha256"][:8]] if row["sha256"] else [])])
        for row in rows
    ]


def app(root, database, answers):
    """Return what is current of one app; nothing before its first release."""
    marker = read(root + "/current/.hostwright.json")
    about = json.loads(marker)["about"] if marker else {}
    found = {}
    if marker:
        found["release"] = os.path.basename(os.path.realpath(root + "/current"))
        found["digest"] = about.get("digest")
    if database is not None and answers and marker:
        try:
            found["migrations"] = migrations(database)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            problems.append(f"the migrations cannot be read: {error}")
    return found


def playbook():
    """Return the playbook of the last deploy that went well; None where there was none."""
    found = None
    for line in (line for path in LEDGERS for line in read(path).splitlines()):
        try:
            run = json.loads(line)
            if run["purpose"].startswith("deploy.py") and run["outcome"] in DEPLOYED:
                found = run.get("commit")
        except (ValueError, KeyError):
            continue  # cut off by a power cut
    return found


server = postgresql()
print(
    json.dumps(
        {
            "facts": {
                "system": system(),
                "postgresql": server,
                "playbook": playbook(),
                "apps": {
                    name: app(one["root"], one["database"], bool(server))
                    for name, one in ABOUT["apps"].items()
                },
            },
            "packages": packages(),
            "problems": problems,
        }
    )
)
