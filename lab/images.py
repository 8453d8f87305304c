"""Images that hosts are copied from: built once by mmdebstrap, shared by all clones of this user."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import authorities, machine, places, removal
from lab.errors import LabError
from lab.locks import locked
from lab.run import run, tail

log = logging.getLogger("lab")

INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,sudo,python3,ca-certificates,iproute2,procps"
OPTIONS = (
    "--variant=minbase",
    f"--include={INCLUDE}",
    # A mirror that cannot be reached should say so soon.
    '--aptopt=Acquire::http::Timeout "20"',
    '--aptopt=Acquire::Retries "2"',
)
# Of the smallest machine that one can rent; the file takes only what is written.
DISK_SIZE = "25G"
UNUSED_DAYS = 14


@dataclass(frozen=True)
class Suite:
    """One distribution release that hosts can be made of."""

    name: str
    vendor: str
    title: str
    components: str


SUITES = {
    suite.name: suite
    for suite in (
        Suite("bookworm", "debian", "Debian 12", "main"),
        Suite("trixie", "debian", "Debian 13", "main"),
        Suite("jammy", "ubuntu", "Ubuntu 22.04", "main,restricted,universe,multiverse"),
        Suite("noble", "ubuntu", "Ubuntu 24.04", "main,restricted,universe,multiverse"),
    )
}


def suite(name: str) -> Suite:
    """Return the suite of that name; raise `LabError` with the known ones if there is none."""
    if name not in SUITES:
        raise LabError(f"there is no image '{name}'; choose one of {', '.join(SUITES)}")
    return SUITES[name]


def _directory() -> Path:
    return places.cache() / "images"


def _image(of: Suite) -> Path:
    """Return where the image belongs: its name changes with everything that it is made from."""
    digest = hashlib.sha256()
    for part in (
        *OPTIONS,
        DISK_SIZE,
        of.components,
        os.environ.get("HOSTWRIGHT_LAB_MIRROR", ""),
        authorities.machine_bundle(),
    ):
        digest.update(part.encode() + b"\0")
    for name in ("finish-image.sh", "lab-network.service"):
        digest.update((places.FILES / name).read_bytes())
    return _directory() / f"{of.name}-{digest.hexdigest()[:12]}"


def identity(name: str) -> str:
    """Return what changes with everything that an image is made from; raise `LabError` as `suite` does."""
    return _image(suite(name)).name


def _lock(of: Suite) -> Path:
    return places.cache() / "locks" / of.name


@contextmanager
def image(name: str) -> Iterator[Path]:
    """
    Give the directory of an image, built now if need be; nobody removes it meanwhile.

    In it are the same system twice: unpacked as `tree`, and as the disk image `disk.ext4`.

    + name: "bookworm", "trixie", "jammy" or "noble".

    Raises `MissingError` if the machine cannot build it, `LabError` if the build fails.

        with image("bookworm") as directory: copy(directory / "tree")
    """
    of = suite(name)
    while True:
        wanted = _image(of)
        with locked(_lock(of), shared=True):
            if wanted.is_dir():
                os.utime(wanted)
                yield wanted
                return
        machine.need(vendor=of.vendor)
        with locked(_lock(of)) as lock:
            if not wanted.is_dir():
                _build(of, wanted, lock)
                _forget_unused(of, wanted)


def _build(of: Suite, wanted: Path, lock: int) -> None:
    """Build aside and rename: an interrupted build is never taken for an image."""
    log.info("building the %s image (%s); about 30 s, once", of.name, of.title)
    _directory().mkdir(parents=True, exist_ok=True)
    _directory().chmod(0o700)
    aside = wanted.with_name(wanted.name + ".building")
    removal.remove_tree(aside)
    aside.mkdir()
    tree = aside / "tree"
    logs = places.cache() / "logs"
    logs.mkdir(exist_ok=True)
    journal = logs / f"{of.name}.log"
    # In namespaces of its own: whatever ends us ends the whole build, and no mount stays behind.
    command = ["setpriv", "--pdeathsig", "KILL"]
    command += [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    command += ["mmdebstrap", *OPTIONS, f"--components={of.components}"]
    command += [f"--customize-hook={places.FILES / 'finish-image.sh'}", of.name, str(tree)]
    command += [mirror] if (mirror := os.environ.get("HOSTWRIGHT_LAB_MIRROR")) else []
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    with journal.open("w") as output:
        builder = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(lock,),
            umask=0o022,
        )
        try:
            failed = builder.wait() != 0
        except BaseException:
            builder.kill()
            builder.wait()
            raise
    if failed:
        removal.remove_tree(aside)
        raise LabError(_explain(of, journal))
    authorities.trust(tree)
    # Copying one file costs a tenth of copying thirteen thousand. A journal would protect nothing: hosts are
    # thrown away, and a power cut of theirs is none of this machine's kernel.
    disk = aside / "disk.ext4"
    run("truncate", "--size", DISK_SIZE, disk)
    run("mkfs.ext4", "-q", "-F", "-d", tree, "-O", "^has_journal", "-i", "65536", "-m", "1", disk)
    aside.rename(wanted)


def _explain(of: Suite, journal: Path) -> str:
    text = journal.read_text(errors="replace")
    end = f"The build said (all of it is in {journal}):\n{tail(journal)}"
    unreachable = re.search(
        r"Could not (?:resolve|connect)|Unable to connect|Temporary failure resolving|Failed to fetch", text
    )
    if unreachable:
        return (
            f"the {of.title} mirror cannot be reached from this machine, so there is no image '{of.name}'. "
            f"Name a mirror that can be: HOSTWRIGHT_LAB_MIRROR=URL, or use --image bookworm. {end}"
        )
    return f"the image '{of.name}' could not be built. {end}"


def _forget_unused(of: Suite, kept: Path) -> None:
    """Remove images of earlier definitions that no clone has used for two weeks."""
    limit = time.time() - UNUSED_DAYS * 86400
    for old in _directory().glob(f"{of.name}-*"):
        if old != kept and (old.suffix == ".building" or old.stat().st_mtime < limit):
            removal.remove_tree(old)
