"""
Open the pages of Prometheus and Alertmanager of an inventory's hosts on this machine, until Ctrl-C.

    python -m tunnel inventories/do.py            # all hosts that run a server
    python -m tunnel inventories/do.py web-1      # one of them

Nothing of them can be reached from other machines: they listen on the host's 127.0.0.1, and SSH leads there.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

import click
from pyinfra.api.exceptions import PyinfraError

import declared
from declared import DeclaredHost

PAGES = {"Prometheus": 9090, "Alertmanager": 9093}
OPEN_SECONDS = 20


class TunnelError(Exception):
    """What is wrong, and what to do."""


class _StoppedError(Exception):
    """Somebody wants it to end."""


@click.command(help=__doc__)
@click.argument("inventory")
@click.argument("name", required=False)
def main(inventory: str, name: str | None) -> None:
    """Open, print, wait, and end all of it."""
    # Ctrl-C too: a shell that starts it in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    opened: list[subprocess.Popen[str]] = []
    try:
        for host in chosen(declared.read(inventory), inventory, name):
            ports = {page: free_port() for page in PAGES}
            opened.append(_open(host, ports))
            click.echo(click.style(host.name, bold=True))
            click.echo(f"  {'Dashboard':<14} http://127.0.0.1:{ports['Prometheus']}/user/")
            for page, port in ports.items():
                click.echo(f"  {page:<14} http://127.0.0.1:{port}/")
        click.echo("Ctrl-C ends it")
        while all(one.poll() is None for one in opened):
            time.sleep(0.2)
        raise TunnelError("a connection has ended; open it again")
    except (TunnelError, PyinfraError) as error:
        click.echo(f"tunnel: {error}", err=True)
        sys.exit(1)
    except _StoppedError:
        click.echo("")
    finally:
        for one in opened:
            one.terminate()
        for one in opened:
            one.wait()


def chosen(hosts: Sequence[DeclaredHost], inventory: str, name: str | None) -> list[DeclaredHost]:
    """
    Return the hosts that run a server, or the one that is named.

    Raises TunnelError where there is none.
    """
    found = [host for host in hosts if name in (None, host.name)]
    if not found:
        known = ", ".join(host.name for host in hosts)
        raise TunnelError(f"{inventory} has no host {name!r}; there are: {known}")
    serving = [host for host in found if (one := host.settings.monitoring) is not None and one.server]
    if not serving:
        raise TunnelError(
            "no Prometheus runs there: set monitoring = {'server': True} in group_data/, and run deploy.py"
        )
    return serving


def words(host: DeclaredHost, ports: Mapping[str, int]) -> list[str]:
    """
    Return the command that opens the tunnels to one host; it logs in as pyinfra does.

    + host: of an inventory
    + ports: page to port of this machine
    """
    data = host.data
    options = {
        "Port": data.get("ssh_port"),
        "User": data.get("ssh_user"),
        "IdentityFile": data.get("ssh_key"),
        "IdentitiesOnly": "yes" if data.get("ssh_key") else None,
        "UserKnownHostsFile": data.get("ssh_known_hosts_file"),
        "StrictHostKeyChecking": data.get("ssh_strict_host_key_checking") or "accept-new",
        "BatchMode": "yes",
        "ConnectTimeout": 10,
        "ServerAliveInterval": 15,
        # Prometheus sends the dashboard's files as they are.
        "Compression": "yes",
        "ExitOnForwardFailure": "yes",
        "LogLevel": "ERROR",
    }
    config = ["-F", data["ssh_config_file"]] if data.get("ssh_config_file") else []
    given = [word for key, value in options.items() if value is not None for word in ("-o", f"{key}={value}")]
    lead = [
        word for page, port in ports.items() for word in ("-L", f"127.0.0.1:{port}:127.0.0.1:{PAGES[page]}")
    ]
    return ["ssh", "-N", *config, *given, *lead, "--", host.address]


def _open(host: DeclaredHost, ports: Mapping[str, int]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        words(host, ports), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # Ctrl-C is for us; we end it.
        start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + OPEN_SECONDS
    while not all(_listens(port) for port in ports.values()):
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            said = process.communicate()[1].strip() or f"no login within {OPEN_SECONDS} s"
            raise TunnelError(f"{host.name} cannot be reached: {said}")
        time.sleep(0.05)
    return process


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of this machine that is free just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _StoppedError


if __name__ == "__main__":
    main()
