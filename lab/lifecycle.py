"""Make, start, stop and remove hosts; what an interruption leaves is for the next `up` or `down`."""

from __future__ import annotations

import logging
import subprocess
import time
from pathlib import Path

from lab import cgroups, images, machine, network, places, registry, removal, shelf, ssh, state
from lab import disk as disks
from lab.errors import LabError
from lab.locks import locked
from lab.run import tail
from lab.state import Host

log = logging.getLogger("lab")


def find(name: str) -> Host:
    """
    Return a host of this clone.

    Raises `LabError` when it was never made, or only by half.
    """
    host = state.load(name)
    if host is None:
        known = ", ".join(one.name for one in state.load_all()) or "none"
        raise LabError(
            f"there is no host '{name}' (there are: {known}); make it with `python -m lab up {name}`"
        )
    if not host.ready:
        raise LabError(f"'{name}' is {host.state}; run `python -m lab up {name}` again")
    return host


def up(
    name: str,
    *,
    image: str | None = None,
    groups: tuple[str, ...] | None = None,
    disk: Path | None = None,
    memory: int | None = None,
) -> Host:
    """
    Make sure that a host is up: make it, or start it again from its disk, or leave it as it is.

    + name: small letters, digits and "-". + image: "bookworm" (default), "trixie", "jammy" or "noble".
    + groups: files of group_data/ that it gets; default those that it has.
    + disk: one that `save` wrote, of a host of this image, to make it from; default none, the image itself.
    + memory: bytes that it has, with its files' pages; default as many as this machine has.

    It does not change the image, disk or memory of a host that is there, and does not mend a cut network.
    Raises `MissingError` when the machine cannot run hosts, `LabError` when this one does not come up.

        host = up("web1", image="trixie")
    """
    machine.need()
    state.check_name(name)
    if image is not None:
        images.suite(image)
    if disk is not None and not disk.exists():
        raise LabError(f"there is no disk {disk}; `lab.lifecycle.save` makes one of a host that is there")
    with state.alone(name) as lock:
        host = state.load(name)
        if host is not None and host.ready:
            if image is not None and image != host.image:
                raise LabError(
                    f"'{name}' is there, made from {host.image}; `python -m lab down {name}` first"
                )
            if groups is not None:
                host = host.with_(groups=groups)
            if cgroups.processes(host.id):
                log.info("%s is up already: %s", name, host.address)
                return host
            return _start(host, lock)
        if host is not None:
            log.info("%s was left half-made; making it anew", name)
            _remove(host)
        return _make(name, image or "bookworm", lock, groups or (), disk, memory)


def _make(
    name: str, image: str, lock: int, groups: tuple[str, ...], saved: Path | None, memory: int | None
) -> Host:
    machine.need_disk(places.state())
    if saved is None:
        # The image first: building it takes long, and nothing of the host is there yet if it fails.
        with images.image(image):
            pass
    began = time.monotonic()
    with locked(places.state() / "locks" / ".key"):
        state.make_key()
    directory = state.directory_of(name)
    directory.mkdir(mode=0o700)
    places.give(directory, like=places.state())
    host = Host(name, image, directory, memory=memory).save()
    try:
        gateway, address = registry.claim(host.id, directory)
        host = Host(name, image, directory, address, gateway, memory=memory).save()
        disks.make(host, lock, saved)
        _run(host, lock)
    except LabError:
        _remove(host)
        raise
    host = host.with_(ready=True, groups=groups)
    log.info("%s is up after %.1f s: %s (%s)", name, time.monotonic() - began, address, image)
    return host


def _start(host: Host, lock: int) -> Host:
    began = time.monotonic()
    registry.claim(host.id, host.directory, host.address)
    disks.attach(host)
    network.heal(host.id, host.address)
    host = host.with_(cut=False)
    _run(host, lock)
    log.info("%s booted in %.1f s: %s", host.name, time.monotonic() - began, host.address)
    return host


def _run(host: Host, lock: int) -> None:
    groups = cgroups.make(host.id, memory=host.memory)
    nspawn = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=1"]
    # A real host keeps /tmp on its disk.
    nspawn += ["SYSTEMD_NSPAWN_TMPFS_TMP=0"]
    nspawn += ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", f"--machine={host.id}"]
    nspawn += [f"--hostname={host.name}", f"--network-bridge={network.bridge(host.id)}", "--capability=all"]
    # Without these a host could not turn swap on, nor notice who changes a file. Its name servers were
    # written with its disk.
    nspawn += [
        "--system-call-filter=@swap @module fanotify_init fanotify_mark",
        "--resolv-conf=off",
        "--link-journal=no",
        "--timezone=off",
    ]
    nspawn += ["--console=read-only", "--boot", f"--directory={host.root}"]
    keeper = [str(places.FILES / "keep-host.sh"), *map(str, groups), "--", *nspawn]
    with host.log.open("ab") as output:
        started = subprocess.run(
            keeper, stdin=lock, stdout=output, stderr=output, cwd="/", start_new_session=True, check=False
        )
    if started.returncode != 0:
        raise LabError(f"{host.name} could not be started; {host.log} says:\n{tail(host.log)}")
    ssh.wait(host)


def boot(name: str) -> Host:
    """
    Start a host that was killed or shut down, from the same disk and at the same address.

    Raises `LabError` when it is not there or does not come up.
    """
    machine.need()
    with state.alone(name) as lock:
        host = find(name)
        if cgroups.processes(host.id):
            log.info("%s is up already: %s", name, host.address)
            return host
        return _start(host, lock)


def kill(name: str) -> Host:
    """
    Take a host's power away: every process dies at once, nothing is said to anybody, the disk stays.

    Raises `LabError` when there is no such host.
    """
    machine.need()
    with state.alone(name):
        host = find(name)
        if not cgroups.processes(host.id):
            log.info("%s is off already", name)
            return host
        # The cable first: dying processes would still close their connections properly.
        network.cut(host.id, host.address)
        cgroups.kill(host.id)
        removal.swap_off(host.root)
        log.info("%s is off; `python -m lab boot %s` starts it again", name, name)
        return host


def save(name: str, path: Path) -> Host:
    """
    Shut a host down in order and keep a copy of its disk, to make others from: `up(..., disk=path)`.

    + path: where to; nothing may be there. It becomes one sparse file, or a directory on a machine without
      loop devices, and whoever asked for it removes it.

    The host stays off; one that is off already is copied as it is.
    Raises `LabError` when it is not there or does not end, or its disk cannot be copied.

        save("web1", Path("/var/tmp/web1.ext4"))
        up("web2", disk=Path("/var/tmp/web1.ext4"))
    """
    machine.need()
    with state.alone(name) as lock:
        host = find(name)
        _shut_down(host)
        disks.save(host, path, lock)
        log.info("the disk of %s, which is off now, is in %s", name, path)
        return host


def _shut_down(host: Host, *, seconds: float = 90) -> None:
    """Switch a host off in order, as its own `systemctl poweroff` does, and wait until it is."""
    if not cgroups.processes(host.id):
        return
    if host.cut:
        raise LabError(f"'{host.name}' is cut off; mend it with `python -m lab heal {host.name}`")
    # The connection ends with the host: what ssh comes to says nothing.
    subprocess.run(
        host.ssh("systemctl", "poweroff"), capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    end = time.monotonic() + seconds
    while cgroups.processes(host.id):
        if time.monotonic() > end:
            raise LabError(
                f"{host.name} does not shut down within {seconds:g} s; its console said ({host.log}):\n"
                f"{tail(host.log)}"
            )
        time.sleep(0.1)


def cut(name: str) -> Host:
    """Cut a host's network cable; the host goes on. Raises `LabError` when it is off or not there."""
    machine.need()
    with state.alone(name):
        host = _running(name)
        network.cut(host.id, host.address)
        log.info("%s is cut off; `python -m lab heal %s` mends it", name, name)
        return host.with_(cut=True)


def heal(name: str) -> Host:
    """Mend a host's network cable; open connections go on. Raises `LabError` as `cut` does."""
    machine.need()
    with state.alone(name):
        host = _running(name)
        network.heal(host.id, host.address)
        log.info("%s is reachable again: %s", name, host.address)
        return host.with_(cut=False)


def _running(name: str) -> Host:
    host = find(name)
    if not cgroups.processes(host.id):
        raise LabError(f"'{name}' is off; start it with `python -m lab boot {name}`")
    return host


def down(name: str) -> None:
    """
    Remove a host and everything of it: processes, swap, mounts, network, disk. One that is not there is fine.

    Raises `LabError` when something of it cannot be removed; run it again once that is mended.
    """
    machine.need()
    with state.alone(name):
        directory = state.directory_of(name)
        host = state.load(name)
        if host is None and state.machine_id(directory) not in registry.directories():
            log.info("%s is not there", name)
            return
        _remove(host or Host(name, "", directory))
        log.info("%s is gone", name)


def _remove(host: Host) -> None:
    cgroups.kill(host.id)
    shelf.collect(host)
    removal.remove_tree(host.directory)
    registry.release(host.id)


def abandoned() -> list[str]:
    """Return the names on this machine of hosts that run though their clone was deleted."""
    return [one for one, directory in registry.directories().items() if registry.is_abandoned(directory)]


def down_abandoned(machine_id: str) -> None:
    """End a host whose clone was deleted, and remove what is left of it."""
    machine.need()
    directory = registry.directories()[machine_id]
    cgroups.kill(machine_id)
    removal.remove_tree(directory)
    registry.release(machine_id)
    log.info("%s, whose clone was deleted, is gone", machine_id)
