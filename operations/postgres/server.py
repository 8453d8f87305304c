"""The server itself: running, and with the declared settings in effect."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Running, Settings
from facts.postgres import cluster as at
from facts.postgres.server import SettingFields
from operations.differences import differs
from operations.postgres import memory as sizes
from operations.postgres.differing import file_in_effect
from operations.postgres.sqltext import Value, check_cluster, check_settings, text

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Debian's tools find a cluster by these, so they are not for conf.d.
PACKAGED = {
    "data_directory": "it says where the cluster is; create the cluster there with pg_createcluster",
    "config_file": "Debian's pg_ctlcluster sets it",
    "hba_file": "Debian's postgresql.conf sets it, and postgres.hba writes that file",
    "ident_file": "Debian's postgresql.conf sets it",
    "external_pid_file": "Debian's postgresql.conf sets it",
    "include": "it is no setting; declare the settings themselves",
    "include_dir": "it is no setting; declare the settings themselves",
    "include_if_exists": "it is no setting; declare the settings themselves",
}


@operation()
def starting(
    settings: Mapping[str, Value], *, memory: str | None = None, cluster: str | None = None
) -> Generator[StringCommand, None, None]:
    """
    Have a cluster that has never run start with its settings, now and at every boot, and do not wait for it.

    That is one that is down and whose postgresql.service is masked, as `packages.masked` leaves it right
    before the package is installed. Its first start takes two seconds, Debian's own tool waits that long;
    with other settings a second start would follow. Any other cluster is left alone.

    + settings: what `settings` is going to declare
    + memory: as of `settings`, default None
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError for a bad cluster, or a setting's bad name or value; fails on the host where
    the server refuses them, and starts nothing then.

    Example:

        postgres.starting(name="Let PostgreSQL start", settings={"shared_buffers": "512MB"})
    """
    check_cluster("postgres.starting", cluster)
    check_declared("postgres.starting", settings)
    now = host.get_fact(Running, cluster=cluster)
    if now is None or now["up"] or now["unit"] != "masked":
        host.noop("no cluster waits for its first start")
        return
    differs("PostgreSQL", expected="started once", found="it has never run")
    content = render(with_memory(settings, memory, now["ram"]))
    yield at.program("postgres-config.py", "first", file_of(), need=at.EXISTS, cluster=cluster, stdin=content)
    yield at.program("postgres-running.sh", "begin", need=at.EXISTS, cluster=cluster)


@operation()
def running(*, timeout: int = 60, cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Start the cluster, now and at every boot, and wait until it accepts connections.

    + timeout: seconds to wait for it, default 60
    + cluster: "VERSION/NAME", default the host's only one

    Does not install anything, and does not create a cluster.

    Raises OperationError for a bad cluster or timeout; fails on the host where there is no cluster, or
    several and none was named, or it does not start in time (with the end of its log).

    Example:

        postgres.running(name="Run PostgreSQL, now and after a reboot")
    """
    check_cluster("postgres.running", cluster)
    if timeout < 1:
        raise OperationError(
            f"postgres.running: timeout {timeout} is no time to wait; write seconds, such as 60"
        )
    now = host.get_fact(Running, cluster=cluster)
    if now is not None and now["up"] and now["start"] == "auto" and now["unit"] == "enabled":
        host.noop("PostgreSQL is already up and starts at boot")
        return
    found = "no cluster" if now is None else f"{'up' if now['up'] else 'down'}, {now['start']}, {now['unit']}"
    differs("PostgreSQL", expected="up, auto, enabled", found=found)
    yield at.program("postgres-running.sh", "start", timeout, need=at.EXISTS, cluster=cluster)


def render(settings: Mapping[str, Value]) -> str:
    """Write the file for conf.d; sorted, so that another order in the data is no change."""
    lines = ["# Written by hostwright; what is changed here by hand is lost at the next run."]
    for setting in sorted(settings, key=str.lower):
        value = text(settings[setting]).replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{setting.lower()} = '{value}'")
    return "\n".join([*lines, "# end", ""])


def file_of(label: str = "hostwright") -> str:
    """Return the name of the file below conf.d."""
    return f"90-{label}.conf"


def check_declared(where: str, settings: Mapping[str, Value]) -> None:
    """Raise OperationError for a setting that cannot be declared, or is twice."""
    check_settings(where, settings)
    for setting in settings:
        if setting.lower() in PACKAGED:
            raise OperationError(f"{where}: {setting} cannot be declared: {PACKAGED[setting.lower()]}")
    if len({setting.lower() for setting in settings}) != len(settings):
        raise OperationError(f"{where}: a setting is declared twice, in capitals and not; keep one")


def with_memory(settings: Mapping[str, Value], memory: str | None, kilobytes: int | None) -> dict[str, Value]:
    """Add what is computed from the RAM: a size, or "auto", the host's, as far as that is known."""
    if memory is None or (memory == "auto" and kilobytes is None):
        return dict(settings)
    ram = sizes.nominal(kilobytes) if memory == "auto" and kilobytes is not None else sizes.megabytes(memory)
    return sizes.with_memory(dict(settings), ram)


def overridden(file: str, rows: list[SettingFields], in_place: bool) -> str | None:
    """Say what keeps a declared setting from taking effect, and the remedy; None where nothing does."""
    for row in rows:
        winner, setting = row["file"] or "", row["name"]
        if winner.endswith("/postgresql.auto.conf"):
            remedy = f"ALTER SYSTEM RESET {setting}"
            return f"{setting} is also set by ALTER SYSTEM, which wins; run as postgres: {remedy}"
        if row["source"] == "command line":
            return f"{setting} is given on the server's command line, which wins; take it out of pg_ctl.conf"
        folder, _, other = winner.rpartition("/")
        later = folder.endswith("/conf.d") and other > file
        if later or (in_place and winner and other != file):
            return f"{setting} is also set in {winner} line {row['line']}, which wins; remove it there"
    return None


@operation()
def settings(
    settings: Mapping[str, Value],
    *,
    memory: str | None = None,
    file_label: str = "hostwright",
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Put server settings into effect by a file of their own in conf.d, with a restart only where one is needed.

    The server's own program reads the new file before it counts. What it refuses, or does not start
    with, is undone: the former file is back and in effect, and the operation fails.

    + settings: every setting of this file by name; values as in postgresql.conf, such as "128MB", 20, True
    + memory: "auto" computes shared_buffers and its like from the host's RAM, a size such as "2G" from that
      much; what `settings` names itself stays; default None, not computed
    + file_label: the file is conf.d/90-LABEL.conf, default "hostwright"; several apps can have one each
    + cluster: "VERSION/NAME", default the host's only one

    Does not converge settings that are not declared, other files, or what ALTER ROLE and ALTER DATABASE
    set for sessions of their own. A setting that waits for a restart because of another file stays so.

    Raises OperationError for a bad name or value, and where another file or ALTER SYSTEM would win.

    Example:

        postgres.settings(
            name="Give PostgreSQL a quarter of the memory",
            settings={"shared_buffers": "512MB", "log_min_duration_statement": "250ms"},
        )
    """
    where = "postgres.settings"
    check_cluster(where, cluster)
    if not LABEL.fullmatch(file_label):
        raise OperationError(
            f"{where}: file_label {file_label!r} has other characters than letters, digits, _ and -"
        )
    check_declared(where, settings)

    file = file_of(file_label)
    names = {setting.lower() for setting in settings} | {*(sizes.NAMES if memory is not None else ())}
    now = host.get_fact(Settings, file=file, names=sorted(names), cluster=cluster)
    # On a bare host, while changes are planned, nobody knows its RAM yet: the command then runs later.
    known = None if now is None or memory is None else now["ram"]
    content = render(with_memory(settings, memory, known))
    if now is not None:
        wanted = ("postgres:postgres", "0644", hashlib.sha256(content.encode()).hexdigest(), True)
        found = now["file"] and (
            now["file"]["owner"],
            now["file"]["mode"],
            now["file"]["sha256"],
            now["file"]["loaded"],
        )
        in_place = found == wanted and now["include"]
        problem = overridden(file, now["settings"], in_place)
        if problem is not None:
            raise OperationError(f"{where}: {problem}")
        if in_place and not now["pending"]:
            host.noop(f"the settings of {file} are already in effect")
            return
    if now is None:
        differs(file, expected="in effect", found="no cluster is up")
    else:
        file_in_effect(now["path"], content, "0644", now["file"])
        for setting in now["pending"]:
            differs(setting, expected="in effect", found="waits for a restart of the server")
        if not now["include"]:
            differs("postgresql.conf", expected="includes conf.d", found="does not")
    yield at.program("postgres-config.py", "settings", file, need=at.UP, cluster=cluster, stdin=content)
