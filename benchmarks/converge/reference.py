"""What the others are to write, taken from a host that hostwright converged: the same bytes."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from subprocess import run

from facts.script import text
from lab.state import KEY_EXCHANGE
from tests.lab.playbook import LabHost, shell

FILES = (
    "/etc/ssh/sshd_config.d/00-hostwright.conf", "/etc/sysctl.d/99-hostwright-swap.conf",
    "/etc/postgresql/*/main/conf.d/90-hostwright.conf", "/etc/postgresql/*/main/pg_hba.conf",
    "/etc/rec_io/*", "/etc/systemd/system/*rec_io*", "/usr/local/bin/rec_io-*", "/etc/logrotate.d/rec_io",
    "/usr/local/lib/hostwright/backup/backup.py", "/etc/hostwright/backup/rec_io.json",
    "/etc/systemd/system/hostwright-config-guard.service", "/etc/hostwright/config-guard.json",
    "/usr/local/lib/hostwright/config-guard/config-guard.py", "/usr/local/bin/monitor_performance",
)  # fmt: skip
SECRETS = ("db_password", "db_owner_password", "db_reader_password")


def gathered(host: LabHost, directory: Path) -> Path:
    """
    Take the files, the release and the secrets of a converged host; return a file of Ansible's variables.

    + host: that is converged
    + directory: for all of it
    """
    with tarfile.open(fileobj=BytesIO(_files(host, FILES))) as archive:
        archive.extractall(directory / "files", filter="data")
    release = shell(host, "basename $(readlink /opt/rec_io/current)")
    venv = shell(host, "basename $(readlink -f /opt/rec_io/current/venv)")
    tree = directory / "release.tar.gz"
    tree.write_bytes(sent(host, f"tar -C /opt/rec_io -cz releases/{release} parts"))
    variables = {
        "files": str(directory / "files"),
        "release": release,
        "release_archive": str(tree),
        "venv": venv,
        "pg": shell(host, "ls /etc/postgresql"),
        "secrets": {name: shell(host, f"cat /etc/rec_io/secrets/{name}") for name in SECRETS},
    }
    path = directory / "reference.json"
    path.write_text(json.dumps(variables), encoding="utf-8")
    path.chmod(0o600)
    return path


@dataclass(frozen=True)
class Packed:
    """
    What the shell script is given.

    + files: name to content of the archives that it unpacks
    + release, venv, pg: its arguments
    """

    files: dict[str, bytes]
    release: str
    venv: str
    pg: str


def packed(host: LabHost) -> Packed:
    """Take the same from a converged host as archives, with owners and modes, for a script on another."""
    release = shell(host, "basename $(readlink /opt/rec_io/current)")
    secrets = [f"/etc/rec_io/secrets/{name}" for name in SECRETS]
    return Packed(
        files={
            "files.tar": _files(host, (*FILES, *secrets), "/etc/rec_io/secrets"),
            "config-guard-control.py": text("config-guard-control.py").encode(),
            "app.tar": sent(host, f"tar -C /opt/rec_io -c releases/{release} parts"),
        },
        release=release,
        venv=shell(host, "basename $(readlink -f /opt/rec_io/current/venv)"),
        pg=shell(host, "ls /etc/postgresql"),
    )


def _files(host: LabHost, patterns: tuple[str, ...], *directories: str) -> bytes:
    words = " ".join(patterns)
    found = shell(host, f"for one in {words}; do [ -f $one ] && [ ! -L $one ] && echo $one; done; true")
    names = " ".join(name.removeprefix("/") for name in [*directories, *found.split()])
    return sent(host, f"tar -C / --no-recursion -c {names}")


def sent(host: LabHost, command: str, stdin: bytes = b"") -> bytes:
    """Run a command on a host, with bytes as its standard input and output."""
    done = run(
        [
            "ssh", "-F", "none", "-i", str(host.key), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
            "-o", f"KexAlgorithms={KEY_EXCHANGE}", "-o", f"UserKnownHostsFile={host.known_hosts}",
            f"{host.user}@{host.address}", command,
        ],
        input=stdin, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout
