"""Keys of hosts, and waiting until one answers."""

from __future__ import annotations

import socket
import subprocess
import time

from lab import cgroups, places
from lab.errors import LabError
from lab.run import run, tail
from lab.state import Host

PORT = 22


def make_host_key(host: Host) -> None:
    """Give a host that does not run yet a key of its own, and write the known_hosts file that knows it."""
    key = host.root / "etc/ssh/ssh_host_ed25519_key"
    for old in (key, key.with_name(key.name + ".pub")):
        old.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{host.name}", "-f", key)
    kind, public, *_ = key.with_name(key.name + ".pub").read_text().split()
    host.known_hosts.write_text(f"{host.address} {kind} {public}\n")
    places.give(host.known_hosts, like=places.state())


def authorize(host: Host) -> None:
    """Let this clone's key in, as root and as admin."""
    public = host.key.with_name("key.pub").read_text()
    for home in (host.root / "root", host.root / "home/admin"):
        file = home / ".ssh/authorized_keys"
        file.write_text(public)
        file.chmod(0o600)
        places.give(file, like=home)


def wait(host: Host, *, seconds: float = 60) -> None:
    """
    Wait until a host that was started lets a user in.

    + seconds: how long at most; default 60 (3 s is usual).

    Raises `LabError` with the console's last lines when the host ends or does not answer.
    """
    end = time.monotonic() + seconds
    # As the ordinary user: early in the boot only root may log in.
    while not (_greets(host.address) and _logs_in(host)):
        if not cgroups.processes(host.id):
            raise LabError(
                f"{host.name} ended while it started; its console said ({host.log}):\n{tail(host.log)}"
            )
        if time.monotonic() > end:
            raise LabError(
                f"{host.name} runs but did not answer SSH on {host.address} in {seconds:g} s; "
                f"its console said ({host.log}):\n{tail(host.log)}"
            )
        time.sleep(0.05)


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, PORT), timeout=0.5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _logs_in(host: Host) -> bool:
    done = subprocess.run(
        host.ssh("true", user="admin"), capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0
