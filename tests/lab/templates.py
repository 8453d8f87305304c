"""
Disks that test hosts start from, so that a module pays only for what it is about.

"packages" is an image with the packages that every deploy installs. It is kept in the lab's cache for a week,
one of each image. "deployed" is a host with the example on it, deployed once in each session and removed at
its end; each of its hosts has that one's data and secrets, and a name, address and keys of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import images, lifecycle, places, removal
from lab.errors import LabError
from lab.locks import locked
from tasks import pool
from tasks.machine import BASE_PACKAGES
from tests.lab import playbook
from tests.lab.playbook import LabHost, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

SECONDS_UNTIL_RUNNING = 240
ASK = """
import sys, urllib.request
for page in sys.argv[1:]:
    try:
        urllib.request.urlopen(page, timeout=5)
    except OSError as error:
        print("no answer from", page, error)
"""
INSTALL = """
from operations import packages
packages.masked(unit="supervisor.service")
packages.masked(unit="pgbouncer.service")
packages.upgraded()
packages.installed(packages={packages!r}, recommends=False)
"""


def session() -> int:
    """Return the process id of the test session, in each of its parallel workers too."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def host_name(image: str, kind: str) -> str:
    return f"test-{os.getpid()}-{image[:8]}-{kind}"


def _sessions() -> Path:
    # Beside the hosts' own disks: a temporary directory may be in memory.
    return places.make_state() / "sessions"


def _declared() -> list[str]:
    group_data = importlib.import_module("group_data.all")
    return [*BASE_PACKAGES, pool.PACKAGE, *group_data.packages]


def _place(kind: str, image: str) -> Path:
    if kind == "deployed":
        return _sessions() / str(session()) / f"deployed-{image}"
    parts = (images.identity(image), INSTALL, *_declared(), time.strftime("%G-W%V"))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return places.cache() / "templates" / f"packages-{image}-{digest[:12]}"


@contextmanager
def disk(kind: str | None, image: str) -> Iterator[Path | None]:
    """
    Give a saved disk to make a host from, made now if need be; nobody removes it meanwhile.

    + kind: "packages" or "deployed"; None is no disk, and so the bare image
    + image: "bookworm" or "trixie"

    Raises LabError when the lab cannot make it, AssertionError when its deploy fails.

    Example: `with disk("packages", "trixie") as saved: lifecycle.up("test-1", image="trixie", disk=saved)`
    """
    if kind is None:
        yield None
        return
    if kind not in _BUILDERS:
        raise LabError(f"there is no template {kind!r}; TEMPLATE is one of {', '.join(_BUILDERS)}")
    wanted = _place(kind, image)
    wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = wanted.parent / f".{kind}-{image}.lock"
    while True:
        with locked(lock, shared=True):
            if wanted.exists():
                yield wanted
                return
        with locked(lock):
            if not wanted.exists():
                for old in wanted.parent.glob(f"{kind}-{image}-*"):
                    removal.remove_tree(old)
                _build(kind, image, wanted)


def _build(kind: str, image: str, wanted: Path) -> None:
    """Make a host, bring it where it is wanted, and keep its disk; what failed once fails at once."""
    failed = _sessions() / str(session()) / f"{kind}-{image}.failed"
    if failed.exists():
        raise LabError(f"the template {kind} of {image} failed before in this session: {failed.read_text()}")
    failed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = host_name(image, kind)
    try:
        _BUILDERS[kind](name, image)
        lifecycle.save(name, wanted)
    except (LabError, AssertionError) as error:
        failed.write_text(str(error))
        raise
    finally:
        lifecycle.down(name)


def _host(name: str, image: str, saved: Path | None) -> LabHost:
    host = lifecycle.up(name, image=image, disk=saved)
    return LabHost(name=name, image=image, address=host.address, key=host.key, known_hosts=host.known_hosts)


def _install(name: str, image: str) -> None:
    host = _host(name, image, None)
    playbook.run(host, INSTALL.format(packages=_declared()), timeout=600).ok()
    shell(host, "apt-get clean")


def _deploy(name: str, image: str) -> None:
    with (
        disk("packages", image) as saved,
        tempfile.TemporaryDirectory(prefix="hostwright-deployed-") as place,
    ):
        host = _host(name, image, saved)
        Deployed(host, "root", copy(Path(place))).run("-y")


_BUILDERS = {"packages": _install, "deployed": _deploy}


def settled(host: LabHost, kind: str) -> None:
    """Wait until a host made from a template has booted, and on "deployed" until every service answers."""
    # Its exit code says whether all units are well, which is for the tests to judge.
    ssh(host, "systemctl is-system-running --wait", timeout=SECONDS_UNTIL_RUNNING)
    if kind != "deployed":
        return
    # systemd leaves the fstab's swap alone where it finds itself in a container; a real host turns it on.
    # Each by its name: `swapon --all` leaves out what another host has on by the same name.
    shell(host, "awk '$3 == \"swap\" { print $1 }' /etc/fstab | xargs -r swapon")
    services = importlib.import_module("group_data.all").apps["rec_io"]["services"]
    pages = [f"http://127.0.0.1:{one['port']}{one['health']}" for one in services.values() if "health" in one]
    end = time.monotonic() + SECONDS_UNTIL_RUNNING
    while True:
        said = ssh(host, f"{STATUS}; python3 - {' '.join(pages)}", stdin=ASK).stdout
        # RUNNING is a process that has lived for a while: on a busy machine it may not listen yet.
        if said.count(" RUNNING ") >= len(services) and "no answer" not in said:
            return
        if time.monotonic() > end:
            raise LabError(f"not all of {len(services)} services of {host.name} came up:\n{said}")
        time.sleep(0.3)


def forget(pid: int | None = None) -> None:
    """Remove the disks of one session, default those of all sessions that are dead."""
    for place in _sessions().glob("*"):
        dead = not Path(f"/proc/{place.name}").exists()
        if dead if pid is None else place.name == str(pid):
            removal.remove_tree(place)
