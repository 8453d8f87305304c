"""Run a playbook against a lab host with the real pyinfra, and look at the host from outside."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.state import KEY_EXCHANGE
from tests.lab import warm

PROJECT = Path(__file__).resolve().parent.parent.parent
PYINFRA = Path(sys.executable).with_name("pyinfra")

# pyinfra reads this before the inventory; the project's own config.py does the same, and more.
FAST = """
from pyinfra.context import ctx_state

import connectors

state = ctx_state.get()
original = state.init


def init(inventory, config, initial_limit=None):
    connectors.install(list(inventory), "{about}")
    original(inventory, config, initial_limit)


state.init = init
"""
# What `fingerprint` looks at unless told otherwise: where a deploy puts things.
PLACES = ("/etc", "/opt", "/usr/local", "/var/lib/hostwright", "/var/lib/apt/lists")


@dataclass(frozen=True)
class LabHost:
    """
    One lab host that is up, and how to reach it.

    + control: directory for the sockets of `one_login`, default None, and so a login for each command
    """

    name: str
    image: str
    address: str
    key: Path
    known_hosts: Path
    user: str = "root"
    port: int = 22
    control: Path | None = None


@dataclass(frozen=True)
class Result:
    """
    What one run of pyinfra came to.

    + rc: its exit code
    + output: everything it said, standard error first
    + changed: names of the operations that changed something
    + unchanged: names of the operations that had nothing to do
    + failed: names of the operations that failed
    """

    rc: int
    output: str
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def ok(self) -> Result:
        """Return itself where the run succeeded; stop the test with its whole output otherwise."""
        if self.rc != 0 or self.failed:
            raise AssertionError(f"pyinfra failed with exit code {self.rc}:\n{self.output}")
        return self


def inventory(host: LabHost) -> str:
    """Write the inventory file's text for one lab host."""
    data = {
        "ssh_hostname": host.address, "ssh_port": host.port, "ssh_user": host.user,
        "ssh_key": str(host.key), "ssh_known_hosts_file": str(host.known_hosts),
        "ssh_strict_host_key_checking": "yes",
    }  # fmt: skip
    return f"hosts = [({host.name!r}, {data!r})]\n"


def _write(host: LabHost, deploy: str, directory: Path) -> dict[str, str]:
    """Write the files of one run, and return its environment."""
    (directory / "inventory.py").write_text(inventory(host), encoding="utf-8")
    (directory / "deploy.py").write_text(deploy, encoding="utf-8")
    if os.environ.get("HOSTWRIGHT_CONNECTOR") != "plain":
        about = hashlib.sha256(deploy.encode()).hexdigest()
        (directory / "config.py").write_text(FAST.format(about=about), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def start(host: LabHost, deploy: str, *flags: str, directory: Path) -> subprocess.Popen[str]:
    """
    Start pyinfra with this deploy file's text and do not wait; for tests that cut it off.

    + host: lab host to run against
    + deploy: text of a pyinfra deploy file
    + flags: more flags for pyinfra, such as "--sudo" or "-vvv"
    + directory: empty directory for the files of this run
    """
    env = _write(host, deploy, directory)
    return subprocess.Popen(
        [str(PYINFRA), "-y", "--json", *flags, "inventory.py", "deploy.py"],
        cwd=directory, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def run(host: LabHost, deploy: str, *flags: str, timeout: float = 300) -> Result:
    """
    Run `pyinfra -y --json` with this deploy file's text against one lab host.

    + host: lab host to run against
    + deploy: text of a pyinfra deploy file
    + flags: more flags for pyinfra, such as "--sudo" or "-vvv"
    + timeout: seconds before the run is killed, default 300

    Raises subprocess.TimeoutExpired; a run that fails is a `Result` with its exit code.

    Example: `run(lab_host, 'from operations import atomic\\natomic.file(path="/x", content="x\\n")').ok()`
    """
    with tempfile.TemporaryDirectory(prefix="hostwright-run-") as made:
        env = _write(host, deploy, Path(made))
        argv = ["-y", "--json", *flags, "inventory.py", "deploy.py"]
        rc, stdout, stderr = warm.run(argv, cwd=Path(made), env=env, timeout=timeout)
    operations = _operations(stdout)
    return Result(
        rc=rc,
        output=f"{stderr}\n{stdout}",
        changed=[operation["name"] for operation in operations if operation["success"]],
        unchanged=[operation["name"] for operation in operations if operation["no_change"]],
        failed=[operation["name"] for operation in operations if operation["error"]],
    )


def _operations(stdout: str) -> list[dict[str, str]]:
    """Take the results out of what `--json` printed; a run that stopped early printed none."""
    try:
        results = json.loads(stdout)["results"]
    except (json.JSONDecodeError, KeyError):
        return []
    return list(results["operations"]) if results else []


def ssh(
    host: LabHost, command: str, *, stdin: str = "", timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """
    Run a shell command on a lab host, whatever its exit code: over a new SSH connection, or in `one_login`.

    + host: lab host to run on
    + command: shell command
    + stdin: text for its standard input, default none
    + timeout: seconds, default 180: only what hangs takes that long
    """
    return subprocess.run(
        [*_login(host), f"{host.user}@{host.address}", command],
        input=stdin, text=True, capture_output=True, timeout=timeout, check=False,
    )  # fmt: skip


def _login(host: LabHost) -> list[str]:
    # Of each user and port its own: whoever logs in as somebody else, or by another way, really does.
    control = f"{host.control}/%r-%p" if host.control is not None else "none"
    return [
        "ssh", "-F", "none", "-i", str(host.key), "-p", str(host.port), "-o", "BatchMode=yes",
        "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR",
        "-o", f"KexAlgorithms={KEY_EXCHANGE}", "-o", f"ControlPath={control}",
        "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={host.known_hosts}",
    ]  # fmt: skip


@contextmanager
def one_login(host: LabHost) -> Iterator[LabHost]:
    """
    Log in once for all commands meanwhile: a login takes four times what most of them take.

    For hosts that neither restart nor have their sshd, firewall or network changed.
    """
    with tempfile.TemporaryDirectory(prefix="hostwright-ssh-") as made:
        shared = replace(host, control=Path(made))
        master = subprocess.Popen(
            [*_login(shared), "-o", "ControlMaster=yes", "-N", f"{host.user}@{host.address}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(lambda: any(shared.control.iterdir()) if shared.control else False)
            yield shared
        finally:
            master.terminate()
            master.wait()


def shell(host: LabHost, command: str, *, stdin: str = "", timeout: float = 180) -> str:
    """
    Run a shell command on a lab host and return its standard output without the last newline.

    + host: lab host to run on
    + command: shell command
    + stdin: text for its standard input, default none
    + timeout: seconds, default 180: only what hangs takes that long

    Raises AssertionError with everything it said where the command fails.
    """
    done = ssh(host, command, stdin=stdin, timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(
            f"on {host.name}: {command!r} exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout.removesuffix("\n")


def eventually(true: Callable[[], bool], *, seconds: float = 60) -> None:
    """
    Wait until something is true; AssertionError where it is not in time.

    + true: asked again and again
    + seconds: how long, default 60
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.02)


def fingerprint(host: LabHost, *places: str) -> dict[str, str]:
    """
    Record every file below some places: type, owner, group, mode, mtime to the nanosecond, size and content.

    + host: lab host to look at
    + places: absolute paths, default what a deploy writes to

    Two equal fingerprints mean that nothing there changed; a dict, so that pytest shows what did.
    """
    where = " ".join(shlex.quote(place) for place in places or PLACES)
    # Places need not exist yet, and files may go while find runs: both are differences, not failures.
    command = (
        f'for place in {where}; do [ -e "$place" ] || continue; '
        "find \"$place\" -printf '%p\\t%y %u %g %m %T@ %s %l\\n' -type f -exec sha256sum '{}' +; done"
    )
    found: dict[str, str] = {}
    for line in shell(host, command, timeout=300).splitlines():
        if "\t" in line:
            path, state = line.split("\t", 1)
        else:
            digest, path = line.split("  ", 1)
            state = f"{found.get(path, '')} {digest}"
        found[path] = state
    return found
