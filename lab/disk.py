"""A host's disk: a copy of its image with an identity of its own."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from lab import images, shelf, ssh
from lab.errors import LabError
from lab.run import run
from lab.state import Host


def make(host: Host, lock: int) -> None:
    """
    Copy the image and make it this host.

    + host: one that has an address.
    + lock: descriptor of its lock, which an interrupted copy goes on to hold.
    """
    with images.image(host.image) as image:
        run("cp", "--sparse=auto", image / "disk.ext4", _file(host), pass_fds=(lock,))
        try:
            attach(host)
        except LabError:
            # No loop devices here, as in most containers: a copy file by file takes seconds, but works.
            _file(host).unlink()
            host.root.rmdir()
            run("cp", "--archive", "--reflink=auto", image / "tree", host.root, pass_fds=(lock,))
    _identify(host)
    ssh.make_host_key(host)
    ssh.authorize(host)
    shelf.lend(host)


def _file(host: Host) -> Path:
    return host.directory / "disk.ext4"


def attach(host: Host) -> None:
    """Mount a host's disk where its root belongs, unless it is; after this machine restarted, it is not."""
    if not _file(host).exists() or host.root.is_mount():
        return
    host.root.mkdir(exist_ok=True)
    run("mount", "--options", "loop,noinit_itable,nobarrier", _file(host), host.root)


def _identify(host: Host) -> None:
    etc = host.root / "etc"
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "hosts").write_text(
        f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost ip6-localhost ip6-loopback\n"
    )
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text(_resolvers())
    (etc / "default/lab-network").write_text(f"ADDRESS={host.address}/30\nGATEWAY={host.gateway}\n")


def _resolvers() -> str:
    """Return this machine's name servers; those behind a local one where that is all it has."""
    for name in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        path = Path(name)
        if path.exists() and _reach_others(text := path.read_text()):
            return text
    return ""


def _reach_others(text: str) -> bool:
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
    return any(not ipaddress.ip_address(server.split("%")[0]).is_loopback for server in servers)
