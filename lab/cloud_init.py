"""cloud-init's own programs, unpacked beside the images: nothing of it is installed on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import machine, places, removal
from lab.errors import MissingError
from lab.locks import locked
from lab.run import run

# What `cloud-init schema` imports; the rest of the package's dependencies are for booting a machine.
PACKAGES = (
    "cloud-init", "python3-attr", "python3-configobj", "python3-jinja2", "python3-json-pointer",
    "python3-jsonpatch", "python3-jsonschema", "python3-markupsafe", "python3-netifaces",
    "python3-oauthlib", "python3-pyrsistent", "python3-requests", "python3-urllib3",
    "python3-certifi", "python3-chardet", "python3-charset-normalizer", "python3-idna",
    "python3-serial", "python3-six", "python3-yaml",
)  # fmt: skip
# Of this machine's release: what was unpacked by another one does not fit its Python.
RELEASE = Path("/etc/os-release")
PYTHON = "/usr/bin/python3"


def unpacked() -> Path:
    """
    Return the directory that the packages are unpacked in; download them where it is not there yet.

    cloud-init itself, installed, would take over the network and the users of this machine at its next boot.

    Raises `MissingError` where there is no apt, `LabError` where the packages cannot be had.
    """
    directory = places.cache() / f"cloud-init-{_release()}"
    with locked(places.cache() / "locks" / "cloud-init"):
        if directory.is_dir():
            return directory
        if shutil.which("apt-get") is None or not Path(PYTHON).exists():
            raise MissingError("cloud-init's schema checker needs apt-get and python3 of Debian or Ubuntu")
        aside = directory.with_name(directory.name + ".unpacking")
        removal.remove_tree(aside)
        (aside / "packages").mkdir(parents=True)
        if os.geteuid() == 0:
            machine.update()
        # They differ a little between releases.
        known = {*run("apt-cache", "pkgnames").split()}
        wanted = [package for package in PACKAGES if package in known]
        run("apt-get", "--quiet", "download", *wanted, directory=aside / "packages")
        for package in sorted((aside / "packages").glob("*.deb")):
            run("dpkg-deb", "--extract", package, aside)
        removal.remove_tree(aside / "packages")
        aside.rename(directory)
    return directory


def check(user_data: Path) -> str:
    """
    Have `cloud-init schema` check a file, and return what it said.

    Raises `LabError` with its words where the file is not valid.

        check(Path("user-data.yaml"))
    """
    tree = unpacked()
    return run(
        "env", f"PYTHONPATH={tree}/usr/lib/python3/dist-packages", "PYTHONDONTWRITEBYTECODE=1",
        PYTHON, f"{tree}/usr/bin/cloud-init", "schema", "--config-file", user_data,
    )  # fmt: skip


def _release() -> str:
    lines = dict(line.split("=", 1) for line in RELEASE.read_text().splitlines() if "=" in line)
    return f"{lines.get('ID', 'unknown')}-{lines.get('VERSION_ID', '0')}".replace('"', "")
