"""A copy of the project, deployed to a lab host with its own deploy.py, as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import warm
from tests.lab.playbook import PROJECT, PYINFRA, LabHost, fingerprint, shell

STATUS = "supervisorctl -c /etc/rec_io/supervisord.conf status"
# A secret that is given, with what shells, SQL and systemd each treat specially.
GIVEN_VARIABLE, GIVEN = "HOSTWRIGHT_TEST_PASSWORD", "corréct h0rse's \"$HOME\" \\ %s `id` 'battery'"


def copy(directory: Path) -> Path:
    """Copy the project into a directory, without what a clone does not have, and return where it is."""
    project = directory / "project"
    left_out = shutil.ignore_patterns(".git", ".lab", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    return Path(shutil.copytree(PROJECT, project, ignore=left_out))


@dataclass
class Deployed:
    """A host under test, and what was seen while it was deployed to."""

    host: LabHost
    user: str
    project: Path
    output: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def command(self, *flags: str, verb: str = "deploy.py") -> list[str]:
        return [str(PYINFRA), "--limit", self.host.name, *flags, "inventories/lab.py", verb]

    def environ(self, user: str | None = None) -> dict[str, str]:
        return {
            **os.environ,
            "HOSTWRIGHT_LAB_HOSTS": self.host.name,
            "HOSTWRIGHT_LAB_USER": user or self.user,
            "HOSTWRIGHT_LAB_STATE": os.environ.get("HOSTWRIGHT_LAB_STATE", str(PROJECT / ".lab")),
            GIVEN_VARIABLE: GIVEN,
        }

    def start(self, *flags: str, user: str | None = None, verb: str = "deploy.py") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*flags, verb=verb), cwd=self.project, env=self.environ(user), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *flags: str, user: str | None = None, typed: str = "") -> str:
        """Run deploy.py to its end and return its output; fail with it where it failed."""
        if typed:
            process = self.start(*flags, user=user)
            stdout, stderr = process.communicate(typed, timeout=600)
            rc = process.returncode
        else:
            rc, stdout, stderr = warm.run(
                self.command(*flags)[1:], cwd=self.project, env=self.environ(user), timeout=600
            )
        self.output = stdout + stderr
        assert rc == 0, self.output[-6000:]
        return stdout

    def changed(self, *flags: str, user: str | None = None) -> list[str]:
        """Run deploy.py and return the names of the operations that changed something."""
        results = json.loads(self.run("-y", "--json", *flags, user=user))["results"]
        return [one["name"] for one in results["operations"] if one["success"]]


def state(host: LabHost) -> dict[str, str]:
    """Read everything that a run with nothing to do must leave as it was."""
    seen = {
        path: fields
        for path, fields in fingerprint(host, "/etc", "/opt", "/usr/local", "/var/lib/hostwright").items()
        if not path.startswith("/opt/rec_io/shared/")  # the services are writing there
    }
    seen["supervised"] = shell(host, f"{STATUS} | awk '{{print $1, $2, $4}}'")
    seen["units"] = shell(host, "systemctl show -p Id -p MainPID --type=service --state=running '*'")
    seen["roles"] = shell(
        host, "runuser -u postgres -- pg_dumpall --globals-only | grep -v '^.\\?\\(un\\)\\?restrict '"
    )
    seen["schema"] = shell(
        host, "runuser -u postgres -- pg_dump -s rec_io_db | grep -v '^.\\?\\(un\\)\\?restrict '"
    )
    seen["catalog"] = shell(
        host,
        "runuser -u postgres -- psql -XAtq -c 'SELECT xmin, rolname FROM pg_authid ORDER BY 2' "
        "-c 'SELECT xmin, datname, datacl, datdba FROM pg_database ORDER BY 2'",
    )
    # /proc/swaps is the machine's, with the swap of every lab host.
    seen["swap file"] = shell(host, "stat -c '%s %a %U %y' /swapfile")
    seen["firewall"] = shell(host, "ufw status verbose")
    seen["packages"] = shell(host, "dpkg-query -W")
    return seen
