"""A host's disk: a copy of its image, or of another host's disk, with an identity of its own."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import images, removal, shelf, ssh
from lab.errors import LabError
from lab.run import run, succeeds
from lab.state import Host


def make(host: Host, lock: int, saved: Path | None = None) -> None:
    """
    Copy the image, or a saved disk, and make it this host.

    + host: one that has an address.
    + lock: descriptor of its lock, which an interrupted copy goes on to hold.
    + saved: what `save` wrote; default none, and so the image.

    Raises `LabError` when the saved disk is of another image, or cannot be mounted on this machine.
    """
    if saved is None:
        with images.image(host.image) as image:
            run("cp", "--sparse=auto", image / "disk.ext4", _file(host), pass_fds=(lock,))
            try:
                attach(host)
            except LabError:
                # No loop devices here, as in most containers: a copy file by file takes seconds, but works.
                _file(host).unlink()
                host.root.rmdir()
                _copy_tree(image / "tree", host.root, lock)
    else:
        _copy_saved(host, saved, lock)
    _identify(host)
    ssh.make_host_key(host)
    ssh.authorize(host)
    if saved is None:
        # A saved disk has what it was lent, as one set with what was downloaded since.
        shelf.lend(host)


def _copy_saved(host: Host, saved: Path, lock: int) -> None:
    if saved.is_dir():
        _copy_tree(saved, host.root, lock)
    else:
        run("cp", "--sparse=auto", "--reflink=auto", saved, _file(host), pass_fds=(lock,))
        try:
            attach(host)
        except LabError as error:
            raise LabError(
                f"the disk {saved} cannot be mounted here; make {host.name} anew: {error}"
            ) from None
    found = re.search(r"^VERSION_CODENAME=(\S+)", (host.root / "etc/os-release").read_text(), re.MULTILINE)
    if found is None or found[1] != host.image:
        raise LabError(
            f"the disk {saved} is of {found[1] if found else 'no known release'}, not of {host.image}; "
            "name the image that it was made from"
        )
    # Empty, the host makes itself one when it starts, as from an image.
    (host.root / "etc/machine-id").write_text("")


def _copy_tree(tree: Path, to: Path, lock: int) -> None:
    run("cp", "--archive", "--reflink=auto", tree, to, pass_fds=(lock,))


def save(host: Host, path: Path, lock: int) -> None:
    """
    Copy the disk of a host that is off, whole or not at all: one file, or a directory without loop devices.

    + path: where to; nothing may be there. + lock: as in `make`.

    Raises `LabError` when something is there, or something of this machine goes on writing to the disk.
    """
    if path.exists():
        raise LabError(f"{path} is there already; remove it first")
    aside = path.with_name(path.name + ".saving")
    removal.remove_tree(aside)
    # A host that ends in order leaves its swap on.
    removal.swap_off(host.root)
    try:
        if _file(host).exists():
            attach(host)
            with _complete(host):
                run("cp", "--sparse=always", "--reflink=auto", _file(host), aside, pass_fds=(lock,))
        else:
            _copy_tree(host.root, aside, lock)
        aside.rename(path)
    finally:
        removal.remove_tree(aside)


@contextmanager
def _complete(host: Host, *, seconds: float = 10) -> Iterator[None]:
    """
    Have all of a disk in its file, and nothing written to it meanwhile.

    Read-only, not unmounted: hosts that were started while it was mounted keep it mounted unseen.
    """
    end = time.monotonic() + seconds
    while not succeeds("mount", "--options", "remount,ro", host.root):
        if time.monotonic() > end:
            raise LabError(f"something on this machine still writes to {host.root}; leave it, and try again")
        time.sleep(0.1)
    try:
        yield
    finally:
        run("mount", "--options", "remount,rw", host.root)


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
