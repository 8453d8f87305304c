"""What else of an app is configuration, and so must never change but by a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from settings.types import absolute, inside

# Of an app's directory, what each release brings anew.
OF_RELEASES = ("current", "parts", "previous", "releases", "venvs")
# Nothing in there is configuration, or outlives a boot.
PASSING = ("/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/log/", "/var/tmp/")  # noqa: S108
# Others write there, too.
OF_THE_SYSTEM = (
    "/etc/cron.d", "/etc/default", "/etc/hostwright", "/etc/ssh", "/etc/ssl", "/etc/systemd",
    "/etc/systemd/system", "/usr/lib", "/usr/local", "/usr/share", "/var/backups", "/var/lib",
)  # fmt: skip


def _watched(value: str) -> str:
    if not value.startswith("/"):
        inside(value)
        if value.split("/")[0] in OF_RELEASES:
            raise ValueError("is replaced by each release, and never changes in one; leave it out")
        return value
    absolute(value)
    if f"{value}/".startswith(PASSING):
        raise ValueError("is in a place that does not keep files; configuration belongs below /etc")
    if value.count("/") < 2 or value in OF_THE_SYSTEM:
        raise ValueError("is a directory that others write to as well; name the app's own file or directory")
    return value


WatchedPath = Annotated[str, AfterValidator(_watched)]


def findings(watched: Iterable[str], written: Iterable[str]) -> list[str]:
    """
    Return what is wrong with watched paths of an app's own directory: its services write there.

    + watched: as declared
    + written: directories below `shared` that services are declared to write to
    """
    found = []
    for path in watched:
        for other in written:
            place = f"shared/{other}"
            if f"{path}/".startswith(f"{place}/") or f"{place}/".startswith(f"{path}/"):
                found.append(
                    f"watched {path!r}: the services write to {place!r}, so it changes all the time; name "
                    "only files that nothing but a run writes"
                )
                break
    return found
