# What a receipt says of a host: versions, releases, the playbook of the last deploy. ABOUT: app to root.
# mypy: ignore-errors
import json
import os
import platform
import subprocess

from tests.acceptance.host.common import ABOUT, answer

LEDGERS = ("/var/log/hostwright/ledger.jsonl.1", "/var/log/hostwright/ledger.jsonl")
SHOWN = "${db:Status-Status} ${Package} ${Version}\n"


def system():
    with open("/etc/os-release", encoding="utf-8") as file:
        names = dict(line.strip().split("=", 1) for line in file if "=" in line)
    return names["PRETTY_NAME"].strip('"')


def release(root):
    """Return what is current of one app; None before its first release."""
    current = root + "/current"
    try:
        with open(current + "/.hostwright.json", encoding="utf-8") as file:
            about = json.load(file)["about"]
    except FileNotFoundError:
        return None
    return {
        "release": os.path.basename(os.path.realpath(current)),
        "digest": about["digest"],
        "commit": about["commit"],
    }


def last_deploy():
    """Return the playbook of the last deploy that went well; None where there was none."""
    found = None
    for path in LEDGERS:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for run in map(json.loads, filter(str.strip, file)):
                    if run["purpose"].startswith("deploy.py") and run["outcome"] in (
                        "confirmed",
                        "unchanged",
                    ):
                        found = run.get("commit")
    return found


# Its exit code says that one of them is not there.
listed = subprocess.run(
    ["dpkg-query", "-W", "-f", SHOWN, "postgresql-[0-9]*", "supervisor", "pgbouncer", "openssh-server"],
    capture_output=True, text=True, check=False,
)  # fmt: skip
rows = [line.split() for line in listed.stdout.splitlines()]
answer(
    {
        "apps": {app: about for app, root in ABOUT.items() if (about := release(root)) is not None},
        "playbook": last_deploy(),
        "versions": {
            "system": system(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            **{row[1]: row[2] for row in rows if row[0] == "installed"},
        },
    }
)
