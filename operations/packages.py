"""Debian packages: wait until they can be installed, install, upgrade, remove; never a question."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import OperationError, QuoteString, StringCommand, operation

from facts.packages import Packages, Ready, Unit
from facts.script import script
from operations.differences import differs, noted

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?")
UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@_.\\-]*\.(service|socket|timer|path)")
PATTERN = re.compile(r"/[A-Za-z0-9._/*?-]+")
DAY = 24 * 60 * 60


@operation()
def ready(*, timeout: int = 900) -> Generator[StringCommand, None, None]:
    """
    Wait until packages can be installed: first boot over, locks free, nothing left half-installed.

    + timeout: seconds to wait for cloud-init and, from the same start, for the locks; default 900, since
      a first boot that upgrades itself takes minutes

    An installation that was cut off is completed (`dpkg --configure -a`, then `apt-get --fix-broken
    install`). A cloud-init that ended "degraded" counts as ended; one that failed is an error.

    Raises OperationError for a timeout that is no number of seconds.

    Example:

        packages.ready(name="Wait for the first boot to end")
    """
    if isinstance(timeout, bool) or not 1 <= timeout <= DAY:
        raise OperationError(
            f"packages.ready: timeout {timeout!r} is out of range; write seconds, 1 to {DAY}"
        )
    now = host.get_fact(Ready)
    if not now["waits"] and not now["interrupted"]:
        host.noop("packages can be installed: nothing is locked or half-installed")
        return
    for what in now["waits"]:
        noted(f"packages cannot be installed yet: {what}")
    for what in now["interrupted"]:
        differs("dpkg", expected="nothing half-installed", found=what)
    yield script("packages-wait.sh", timeout)


@operation()
def installed(
    packages: list[str], *, recommends: bool = True, update_older_than_seconds: int = DAY
) -> Generator[StringCommand, None, None]:
    """
    Install the packages that are missing, and ask no question.

    + packages: names, of packages or of what packages provide
    + recommends: also install what these merely recommend, default True, as apt itself does
    + update_older_than_seconds: fetch the package lists first where they are older; default one day.
      Where nothing is missing they are left alone

    Does not converge versions: `packages.upgraded` does. Configuration files that someone changed on the
    host stay as they are.

    Raises OperationError for what cannot be a package's name; apt itself stops before it installs
    anything where one name is unknown.

    Example:

        packages.installed(name="Install the base packages", packages=["htop", "logrotate"])
    """
    check_names("packages.installed", packages)
    now = host.get_fact(Packages, packages=packages)
    missing = [package for package in dict.fromkeys(packages) if package not in now["installed"]]
    if not missing:
        host.noop(f"already installed: {', '.join(packages)}")
        return
    for package in missing:
        differs(f"package {package}", expected="installed", found="not installed")
    if old(now["lists_age"], update_older_than_seconds):
        yield script("packages-apt.sh", "update")
    yield script("packages-apt.sh", "install", str(recommends).lower(), *missing)


@operation()
def upgraded(*, update_older_than_seconds: int = DAY) -> Generator[StringCommand, None, None]:
    """
    Bring all installed packages to the newest version that the package lists know.

    + update_older_than_seconds: fetch the package lists first where they are older; default one day, so
      that a second run on the same day finds nothing to do

    Packages on hold, and those whose update apt holds back because it is phased, stay; nothing is
    removed; the host is not rebooted. needrestart, where it is installed, restarts the services whose
    libraries changed.

    Example:

        packages.upgraded(name="Upgrade all packages")
    """
    now = host.get_fact(Packages, packages=[], upgrades=True)
    fetch = old(now["lists_age"], update_older_than_seconds)
    if now["pending"]:
        differs("upgrades of packages", expected="none pending", found=", ".join(now["pending"]))
    if fetch:
        age = now["lists_age"]
        since = "missing or older than their sources" if age is None else f"{age // 3600} h old"
        noted(f"the package lists are {since}: upgrades since then are not known")
        yield script("packages-apt.sh", "update")
    if fetch or now["pending"]:
        # Where nothing is pending after all, this is as quick as it is to ask.
        yield script("packages-apt.sh", "upgrade")
    else:
        host.noop("all packages are already at the newest version")


@operation()
def absent(packages: list[str]) -> Generator[StringCommand, None, None]:
    """
    Remove packages; their configuration files stay.

    + packages: names of packages

    Does not remove what was installed along with them.

    Raises OperationError for what cannot be a package's name.

    Example:

        packages.absent(name="Remove telnet", packages=["telnet"])
    """
    check_names("packages.absent", packages)
    now = host.get_fact(Packages, packages=packages)
    if not now["installed"]:
        host.noop(f"already absent: {', '.join(packages)}")
        return
    yield script("packages-apt.sh", "remove", *now["installed"])


@operation()
def masked(unit: str, *, used_by: list[str] | None = None) -> Generator[StringCommand, None, None]:
    """
    Keep a unit that a package brings along from ever running, from before the package is installed.

    + unit: the unit's name with its ending; it need not exist yet
    + used_by: absolute shell patterns of files; where one exists somebody uses the unit, and it is left
      as it is; default none

    A unit that runs and that nobody uses is stopped.

    Raises OperationError for what cannot be a unit's name or an absolute pattern.

    Example:

        packages.masked(
            name="Keep Debian's own supervisor off",
            unit="supervisor.service",
            used_by=["/etc/supervisor/conf.d/*.conf"],
        )
    """
    patterns = used_by or []
    if not UNIT.fullmatch(unit):
        raise OperationError(f"packages.masked: {unit!r} is no unit; write it like 'supervisor.service'")
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise OperationError(f"packages.masked: {pattern!r} of used_by is no absolute, plain pattern")
    now = host.get_fact(Unit, unit=unit, used_by=patterns)
    if now["masked"]:
        host.noop(f"{unit} is already masked")
    elif now["used"]:
        host.noop(f"{unit} is left alone: {', '.join(now['used'])} shows that it is in use")
    else:
        differs(unit, expected="masked", found="running" if now["running"] else "not masked")
        # What systemd does not know yet it reads once a package brings it, and needs no reload for it.
        how = "--now" if now["known"] else "--no-reload"
        yield StringCommand("systemctl", "mask", how, QuoteString(unit))


def check_names(operation_: str, packages: Iterable[str]) -> None:
    """Raise OperationError for the first text that cannot be a package's name."""
    if isinstance(packages, str):
        raise OperationError(f"{operation_}: packages {packages!r} is one text; write a list: [{packages!r}]")
    names = list(packages)
    if not names:
        raise OperationError(
            f"{operation_}: packages is empty; name at least one, or leave the operation out"
        )
    for package in names:
        if not isinstance(package, str) or not NAME.fullmatch(package):
            raise OperationError(
                f"{operation_}: {package!r} is no package's name; write it like 'python3-venv'"
            )


def old(age: int | None, limit: int) -> bool:
    """Say whether package lists of this age have to be fetched; None is no lists at all."""
    return age is None or age > limit
