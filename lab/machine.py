"""What this machine must have before it can run test hosts, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from lab.errors import MissingError
from lab.run import run

# program → Debian and Ubuntu package
PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
# What the tests of pages need besides, and no test host: a browser, and what draws their curves.
PAGES = {
    Path("/usr/bin/chromium-headless-shell"): "chromium-headless-shell",
    Path("/usr/share/javascript/d3/d3.min.js"): "libjs-d3",
    Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"): "fonts-dejavu-core",
}
WAIT = ("-o", "DPkg::Lock::Timeout=300")
KEYRINGS = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}


def missing_for_pages() -> list[str]:
    """List the packages that only the tests of pages need; Ubuntu has its browser elsewhere."""
    return [
        package
        for place, package in PAGES.items()
        if not place.exists() and not (_is_ubuntu() and package.startswith("chromium"))
    ]


def _search_path() -> str:
    # A user's PATH often lacks the system directories, where nft and ip live.
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def _is_ubuntu() -> bool:
    release = Path("/etc/os-release")
    return release.exists() and "\nID=ubuntu\n" in f"\n{release.read_text()}\n"


def keyring_package(vendor: str) -> str:
    """Return the package that holds a vendor's archive keys on this machine's own distribution."""
    if vendor == "ubuntu":
        return "ubuntu-keyring" if _is_ubuntu() else "ubuntu-archive-keyring"
    return "debian-archive-keyring"


def missing_packages(*, vendor: str | None = None) -> list[str]:
    """
    List the packages that must be installed first, sorted; empty when nothing is missing.

    + vendor: "debian" or "ubuntu" to ask for the keys of its archive as well; default none.
    """
    path = _search_path()
    missing = {package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None}
    if vendor is not None and not KEYRINGS[vendor].exists():
        missing.add(keyring_package(vendor))
    return sorted(missing)


def need_root() -> None:
    """
    Stop unless this is Linux and we are root.

    Raises `MissingError` with the command to use instead.
    """
    if platform.system() != "Linux":
        raise MissingError(
            f"test hosts need Linux with systemd-nspawn; this is {platform.system()}. "
            "Run the lab in a Debian 12 or Ubuntu machine"
        )
    if os.geteuid() != 0:
        raise MissingError("test hosts need root: run `sudo .venv/bin/python -m lab …`")


def need(*, vendor: str | None = None) -> None:
    """
    Stop unless this machine can run test hosts.

    + vendor: also the archive keys to build an image of "debian" or "ubuntu"; default none.

    Raises `MissingError` that lists everything missing and the command that installs it.
    """
    need_root()
    os.environ["PATH"] = _search_path()
    missing = missing_packages(vendor=vendor)
    if missing:
        which = " --image IMAGE" if vendor == "ubuntu" else ""
        raise MissingError(
            f"this machine lacks {', '.join(missing)}: "
            f"run `python -m lab prepare{which}`, or `apt-get install {' '.join(missing)}`"
        )


def need_disk(directory: Path) -> None:
    """
    Stop where test hosts would be kept in memory.

    A host's swap file would then be swapped out to itself, through a loop device of the kernel that waits
    for itself: processes hang there until this machine is restarted.

    Raises `MissingError` with the remedy.
    """
    kind = run("stat", "--file-system", "--format=%T", directory).strip()
    if kind in ("tmpfs", "ramfs"):
        raise MissingError(
            f"{directory} is in memory ({kind}), where hosts that swap hang this machine; "
            "set HOSTWRIGHT_LAB_STATE to a directory on a disk"
        )


def update() -> None:
    """Fetch the lists of packages; raise `LabError` where they cannot be had."""
    run("apt-get", *WAIT, "--quiet", "update")


def install(*, vendor: str, pages: bool = False) -> list[str]:
    """
    Install the missing Debian packages and return their names.

    + vendor: whose archive keys are needed: "debian" or "ubuntu"
    + pages: what the tests of pages need besides, default False

    Raises `MissingError` where there is no apt, or the packages cannot be had.
    """
    need_root()
    os.environ["PATH"] = _search_path()
    missing = [*missing_packages(vendor=vendor), *(missing_for_pages() if pages else ())]
    if not missing:
        return []
    if shutil.which("apt-get") is None:
        raise MissingError(
            f"this machine lacks {', '.join(missing)} and has no apt-get; install them by hand"
        )
    os.environ.setdefault("DEBIAN_FRONTEND", "noninteractive")
    update()
    run("apt-get", *WAIT, "--quiet", "--yes", "--no-install-recommends", "install", *missing)
    still = missing_packages(vendor=vendor)
    if still:
        raise MissingError(f"{', '.join(still)} installed, but what they should bring is still not there")
    return missing
