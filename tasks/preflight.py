"""Whether a host can take what it is about to get: asked before anything is touched, told all at once."""

from __future__ import annotations

import ipaddress
import math

from pyinfra import logger, state
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from facts.atomic import FileState
from facts.migrations import DatabaseSize, Migrations
from facts.preflight import Machine, MachineFields
from facts.release import Releases
from facts.trial import Holder
from settings import Settings
from settings.app import App
from settings.minimum import MinimumSettings
from tasks.plan import Plan

SUPPORTED = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")
# A machine that is sold as 2 GB shows some percent less: the kernel's own, and a file system's.
SOLD_AS = 0.9
UNITS = {"M": 1 << 10, "G": 1 << 20, "T": 1 << 30}
# As measured on Debian 12: the packages of examples/rec_io, unpacked, with apt's lists and archives.
PACKAGES_KIB = 700 << 10
VENV_KIB = 250 << 10
# Beside all else: logs, the snapshot, and what a full disk would break first.
SPARE_KIB = 200 << 10
# Certificates and logins by time go wrong long before that, and a backup would carry the wrong day.
CLOCK_SECONDS = 120

_findings: dict[str, list[str]] = {}


class PreflightError(PyinfraError):
    """Raised when a host cannot take what is declared for it; pyinfra shows the text and exits with 1."""


def check(host: Host, settings: Settings, made: dict[str, Plan]) -> None:
    """
    Judge one host; with the last host of the run, stop where any has a finding.

    + host: pyinfra's host
    + settings: of the host
    + made: app to what its release is made of

    `--data preflight=warn` goes on all the same, and says what was found.

    Raises PreflightError with the findings of all hosts.
    """
    apps = settings.all_apps()
    seen = host.get_fact(Machine, ports=sorted(ports(settings)), places=places(settings, apps, made))
    mode = host.data.get("preflight")
    if mode not in (None, "warn"):
        raise PreflightError(f"preflight is {mode!r}; write --data preflight=warn, or leave it out")
    # Who waits for another run to end has said so.
    holder = "" if host.data.get("wait") else host.get_fact(Holder)
    found = judged(seen, settings, made, dumps=_dumps(host, settings, made), holder=holder)
    found += _gone(host, settings)
    if mode == "warn":
        for finding in found:
            logger.warning(f"{host.print_prefix}preflight: {finding}")
        found = []
    _findings[host.name] = found
    hosts = [one.name for one in state.inventory.get_active_hosts()]
    if any(_findings.values()) and all(name in _findings for name in hosts):
        lines = "\n".join(f"  - {name}: {one}" for name in hosts for one in _findings[name])
        raise PreflightError(
            f"preflight: this cannot go well; no host was touched\n{lines}\n"
            "  (--data preflight=warn goes on all the same)"
        )


def ports(settings: Settings) -> dict[int, str]:
    """Return the ports that a host's services want: port to the setting."""
    found = {settings.postgresql.port: "postgresql.port"}
    for key, app in settings.apps.items():
        if app.database is not None and app.database.pool is not None:
            found[app.database.pool.port] = f"apps.{key}.database.pool.port"
        for label, service in app.services.items():
            if service.port is not None:
                found[service.port] = f"apps.{key}.services.{label}.port"
    if settings.monitoring is not None:
        found |= dict.fromkeys(settings.monitoring.ports, "monitoring")
    return found


def places(settings: Settings, apps: list[App], made: dict[str, Plan]) -> list[str]:
    """Return the paths whose file systems matter: the machine's, and what a release would make."""
    found = ["/usr", "/var/lib", "/var/backups"]
    if settings.swap is not None:
        found.append(settings.swap.path)
    for app in apps:
        if app.key in made:
            found += [f"{app.root}/releases/{made[app.key].release}", made[app.key].links["venv"]]
    return found


def _dumps(host: Host, settings: Settings, made: dict[str, Plan]) -> dict[str, int]:
    """Return what dumps before pending migrations may need: app to KiB, its database and a tenth."""
    found = {}
    for app in settings.all_apps():
        wanted = made[app.key].migrations if app.key in made else None
        if app.database is None or not app.dump_before_migration or not wanted:
            continue
        at = {"database": app.database.database, "cluster": settings.postgresql.cluster}
        ledger = {row["name"] for row in host.get_fact(Migrations, **at)}
        if any(one["name"] not in ledger for one in wanted):
            found[app.key] = math.ceil(host.get_fact(DatabaseSize, **at) * 1.1 / 1024)
    return found


def _gone(host: Host, settings: Settings) -> list[str]:
    """Say which configuration files an app that runs has lost: made anew unasked, they would be others."""
    return [
        f"{app.config_root}/{path} is gone, or new in apps.{app.key}.config_files; put yours back, or "
        "have it made as declared, by init.py in the place of deploy.py"
        for app in settings.all_apps()
        if app.config_files and host.get_fact(Releases, app_dir=app.root)["current"] is not None
        for path in app.config_files
        if host.get_fact(FileState, path=f"{app.config_root}/{path}") is None
    ]


def judged(
    seen: MachineFields,
    settings: Settings,
    made: dict[str, Plan],
    *,
    dumps: dict[str, int] | None = None,
    holder: str = "",
) -> list[str]:
    """
    Return what is wrong with a host, each with the value, the limit and the remedy.

    + dumps: app to what the dump before its migrations may need, in KiB, default none
    + holder: who is at work there, as a sentence, default nobody
    """
    return [
        *([f"{holder}; wait for it with --data wait=600"] if holder else []),
        *_system(seen),
        *_size(seen, settings),
        *_room(seen, settings, made, dumps or {}),
        *_ports(seen, settings),
        *_addresses(seen, settings),
        *(
            f"the package archive {uri} cannot be reached: {said}; look at DNS, the network and /etc/apt"
            for uri, said in seen["archives"].items()
            if said != "ok"
        ),
    ]


def _system(seen: MachineFields) -> list[str]:
    found = []
    if seen["distribution"] not in SUPPORTED:
        found.append(
            f"the system is {seen['distribution']}; make the host of one that is supported: "
            f"{', '.join(SUPPORTED)}"
        )
    if abs(seen["ahead"]) > CLOCK_SECONDS:
        way = "ahead of" if seen["ahead"] > 0 else "behind"
        found.append(
            f"its clock is {abs(seen['ahead']):.0f} s {way} this machine's, and {CLOCK_SECONDS} are allowed; "
            "set whichever is wrong: timedatectl set-ntp true"
        )
    return found


def _size(seen: MachineFields, settings: Settings) -> list[str]:
    """Compare the machine with what its apps declare: memory and disk add up, a core is shared."""
    wanted = {key: app.minimum for key, app in settings.apps.items() if app.minimum is not None}
    found = []
    cpus = max((one.cpus for one in wanted.values()), default=0)
    if seen["cpus"] < cpus:
        found.append(f"it has {seen['cpus']} CPUs and {_whose(wanted, 'cpus')} wants {cpus}; resize the host")
    memory = sum(kib(one.memory) for one in wanted.values() if one.memory is not None)
    if seen["memory"] < memory * SOLD_AS:
        found.append(
            f"it has {human(seen['memory'])} of memory and {_whose(wanted, 'memory')} wants {human(memory)}; "
            "resize the host"
        )
    disk = sum(kib(one.disk) for one in wanted.values() if one.disk is not None)
    largest = max((one["size"] for one in seen["disks"].values()), default=0)
    if largest < disk * SOLD_AS:
        found.append(
            f"its disk has {human(largest)} and {_whose(wanted, 'disk')} wants {human(disk)}; resize it"
        )
    return found


def _room(seen: MachineFields, settings: Settings, made: dict[str, Plan], dumps: dict[str, int]) -> list[str]:
    """Compare what this run would write with the room of each file system."""
    needs: dict[str, list[tuple[str, int]]] = {}

    def need(place: str, what: str, amount: int) -> None:
        needs.setdefault(place, []).append((what, amount))

    if seen["archives"]:
        need("/usr", "packages", PACKAGES_KIB)
    need("/var/lib", "logs and snapshots", SPARE_KIB)
    for key, amount in dumps.items():
        if amount:
            need("/var/lib", f"the dump of {key}'s database before its migrations", amount)
    swap = settings.swap
    if swap is not None and swap.size is not None and not seen["disks"][swap.path]["there"]:
        need(swap.path, "the swap file", kib(swap.size))
    for app in settings.all_apps():
        if app.key not in made:
            continue
        release, venv = f"{app.root}/releases/{made[app.key].release}", made[app.key].links["venv"]
        if not seen["disks"][release]["there"]:
            archive = made[app.key].archive
            unpacked = archive.size + sum(entry.size for entry in archive.entries)
            need(release, f"the release of {app.key}", math.ceil(unpacked / 1024))
        if not seen["disks"][venv]["there"]:
            need(venv, f"the virtual environment of {app.key}", VENV_KIB)
    found = []
    on = {place: seen["disks"][place]["mounted"] for place in needs}
    for mounted in dict.fromkeys(on.values()):
        here = [one for place, all_of_it in needs.items() if on[place] == mounted for one in all_of_it]
        free = next(one["free"] for one in seen["disks"].values() if one["mounted"] == mounted)
        total = sum(amount for _, amount in here)
        if free < total:
            what = ", ".join(f"{human(amount)} for {label}" for label, amount in here)
            found.append(
                f"{mounted} has {human(free)} free, and this run needs {human(total)} ({what}); "
                "make room, or resize it"
            )
    return found


def _ports(seen: MachineFields, settings: Settings) -> list[str]:
    wanted = ports(settings)
    return [
        f"port {one['port']} ({wanted[one['port']]}) is held by {one['process']}, process {one['pid']} of "
        f"{one['unit'] or 'nothing'}; stop that, or choose another port"
        for one in seen["listeners"]
        if one["port"] in wanted and one["pid"] and not _ours(one["unit"], settings)
    ]


def _addresses(seen: MachineFields, settings: Settings) -> list[str]:
    """Exporters that cannot have their address would not start, and who is asked by mistake is another."""
    mine = settings.monitoring
    if mine is None:
        return []
    here = [str(ipaddress.ip_address(one)) for one in seen["addresses"]]
    found = [
        f"monitoring.targets.{name} is {address}, which is this host itself; name another host's address"
        for name, address in mine.targets.items()
        if address in here
    ]
    if mine.listen is not None and mine.listen not in here:
        found.append(
            f"monitoring.listen is {mine.listen}, and this host has {', '.join(here) or 'no address'}; write "
            "one of those that is private, or give the host that address first"
        )
    return found


def _ours(unit: str, settings: Settings) -> bool:
    names = {name for app in settings.all_apps() for name in app.units}
    return unit in names or unit.startswith(
        ("postgresql", "pgbouncer", "hostwright-", *(f"{key}-" for key in settings.apps))
    )


def _whose(wanted: dict[str, MinimumSettings], field: str) -> str:
    return " + ".join(
        f"apps.{key}.minimum.{field}" for key, one in wanted.items() if getattr(one, field) is not None
    )


def kib(size: str) -> int:
    """Return a size such as "2G" in KiB."""
    return int(size[:-1]) * UNITS[size[-1]]


def human(amount: float) -> str:
    """Return KiB for people."""
    return f"{amount / (1 << 20):.1f} GiB" if amount >= 1 << 20 else f"{amount / (1 << 10):.0f} MiB"
