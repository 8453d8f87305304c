"""Who is measured: how each is started against one host, and how it says that it changed nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.playbook import LabHost

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
RUN_SECONDS = 600
OURS, PLAIN = "hostwright", "hostwright, plain pyinfra"
FLOOR = "a login, and `import pyinfra_cli`"


@dataclass(frozen=True)
class Line:
    """
    How a host is reached.

    + address, port: where its SSH answers
    + known_hosts: file that knows it there
    """

    address: str
    port: int
    known_hosts: Path


@dataclass(frozen=True)
class Contender:
    """
    One way to converge the host.

    + label: what it is called in the table
    + command: words to start, given the host and the line to it
    + environ: beyond this process's
    + unchanged: whether its output says that nothing was changed; None where nothing is converged
    """

    label: str
    command: Callable[[LabHost, Line], list[str]]
    environ: dict[str, str] = field(default_factory=dict)
    unchanged: Callable[[str], bool] | None = None

    def run(self, host: LabHost, line: Line) -> str:
        """Run it to its end; AssertionError where it fails, or changes what is as it should be."""
        done = subprocess.run(
            self.command(host, line), cwd=PROJECT, env={**os.environ, **self.environ}, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        said = f"{done.stdout}\n{done.stderr}"
        if done.returncode != 0:
            raise AssertionError(f"{self.label} failed with {done.returncode}:\n{said[-4000:]}")
        if self.unchanged is not None and not self.unchanged(done.stdout):
            raise AssertionError(f"{self.label} changed a host that was converged:\n{said[-4000:]}")
        return said


def _pyinfra(host: LabHost, line: Line) -> list[str]:
    data = {
        "ssh_hostname": line.address, "ssh_port": line.port, "ssh_known_hosts_file": line.known_hosts,
    }  # fmt: skip
    words = [word for key, value in data.items() for word in ("--data", f"{key}={value}")]
    program = str(Path(sys.executable).with_name("pyinfra"))
    return [program, "-y", "--json", "--limit", host.name, *words, "inventories/lab.py", "deploy.py"]


def nothing_changed(stdout: str) -> bool:
    """Tell from pyinfra's JSON whether every operation found every host as it should be."""
    operations = json.loads(stdout)["results"]["operations"]
    left_alone = [one["no_change"] and not one["success"] and not one["error"] for one in operations]
    return len(operations) > 20 and all(left_alone)


def changed(stdout: str) -> str:
    """Say which operations changed or failed on which hosts, from pyinfra's JSON; what is none as it is."""
    try:
        operations = json.loads(stdout)["results"]["operations"]
    except (ValueError, KeyError):
        return stdout
    touched = {one["name"]: [*one["success"], *one["error"]] for one in operations}
    return "\n".join(f"{name}: {', '.join(hosts)}" for name, hosts in touched.items() if hosts) or stdout


def hostwright(label: str, connector: str, host: LabHost, cache: Path) -> Contender:
    """Return hostwright's own deploy, over one of the two connectors."""
    environ = {
        "HOSTWRIGHT_CONNECTOR": connector,
        "HOSTWRIGHT_LAB_HOSTS": host.name,
        "HOSTWRIGHT_CACHE": str(cache),
    }
    return Contender(label, _pyinfra, environ, nothing_changed)


def verb(host: LabHost, name: str, cache: Path, *flags: str) -> tuple[int, str, str]:
    """Run a verb of hostwright's; return its exit code, standard output and standard error."""
    program = str(Path(sys.executable).with_name("pyinfra"))
    done = subprocess.run(
        [program, "--limit", host.name, *flags, "inventories/lab.py", name],
        cwd=PROJECT, env={**os.environ, "HOSTWRIGHT_LAB_HOSTS": host.name, "HOSTWRIGHT_CACHE": str(cache)},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def ansible(
    label: str, programs: Path, reference: Path, *, mitogen: bool, changes: bool = False
) -> Contender:
    """
    Return the playbook of `ansible/`, which expresses the same.

    + programs: directory of its environment's programs
    + reference: file of variables, of `reference.gathered`
    + mitogen: whether mitogen runs it
    + changes: whether it is to change something, default False
    """

    def command(host: LabHost, line: Line) -> list[str]:
        options = f"-o UserKnownHostsFile={line.known_hosts} -o IdentitiesOnly=yes"
        about = (
            f"{host.name} ansible_host={line.address} ansible_port={line.port} ansible_user=root "
            f"ansible_ssh_private_key_file={host.key} ansible_python_interpreter=/usr/bin/python3 "
            f"ansible_ssh_common_args='{options}'\n"
        )
        inventory = reference.with_name(f"inventory-{line.port}")
        inventory.write_text(about, encoding="utf-8")
        return [
            str(programs / "ansible-playbook"), "-i", str(inventory), "-e", f"@{reference}",
            str(HERE / "ansible" / "site.yml"),
        ]  # fmt: skip

    environ = {"ANSIBLE_CONFIG": str(HERE / "ansible" / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    if mitogen:
        code = "import ansible_mitogen; print(ansible_mitogen.__path__[0])"
        place = subprocess.run(
            [str(programs / "python"), "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        environ |= {
            "ANSIBLE_STRATEGY": "mitogen_linear",
            "ANSIBLE_STRATEGY_PLUGINS": f"{place}/plugins/strategy",
        }

    def unchanged(stdout: str) -> bool:
        recap = re.findall(r"ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", stdout)
        return len(recap) == 1 and int(recap[0][0]) > 20 and set(recap[0][1:]) == {"0"}

    return Contender(label, command, environ, None if changes else unchanged)


def floor() -> Contender:
    """Return what nobody can be faster than: pyinfra imported, and one login that does nothing."""

    def command(host: LabHost, line: Line) -> list[str]:
        login = [
            "ssh", "-F", "none", "-i", str(host.key), "-p", str(line.port), "-o", "BatchMode=yes",
            "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={line.known_hosts}",
            f"root@{line.address}", "true",
        ]  # fmt: skip
        program = f"import subprocess, pyinfra_cli.main; subprocess.run({login!r}, check=True)"
        return [sys.executable, "-c", program]

    return Contender(FLOOR, command)
