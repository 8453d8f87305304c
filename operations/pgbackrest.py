"""Point-in-time recovery of a PostgreSQL cluster by pgBackRest: archive, backups on time, recovery."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import asdict, dataclass
from datetime import datetime

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.pgbackrest import PROGRAM, Differences
from facts.postgres import cluster as at
from operations.differences import differs
from operations.pgbackrest_bucket import Bucket, check_bucket
from operations.postgres.sqltext import check_cluster
from operations.supervisor_text import PATH, render
from operations.told import told

# Debian's own /etc/pgbackrest.conf belongs to the package; pgbackrest prefers this one.
CONFIG = "/etc/pgbackrest/pgbackrest.conf"
UNITS = "/etc/systemd/system"
KINDS = {"full": "full", "incremental": "incr"}
TIMERS = [f"hostwright-recovery-{kind}.timer" for kind in KINDS]
FILES = [
    CONFIG,
    *(f"{UNITS}/hostwright-recovery-{kind}.{end}" for kind in KINDS for end in ("service", "timer")),
]
RECOVERED = "/var/lib/postgresql/recovered"
STANZA = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
WHEN = re.compile(r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):[0-5][0-9]")
SIZE = re.compile(r"[1-9]\d{0,5}[MGT]")


@dataclass(frozen=True)
class Recovery:
    """
    How a cluster can be recovered.

    + stanza: its name in the repository
    + full, incremental: when, such as "Sun 02:00" or "02:00"
    + keep_full: how many full backups are kept
    + repository: directory on the host, or in the bucket
    + queue: how much may wait to be archived, such as "1G"
    + bucket: where the repository is; None for the host itself
    """

    stanza: str = "main"
    full: str = "Sun 02:00"
    incremental: str = "02:00"
    keep_full: int = 2
    repository: str = "/var/lib/pgbackrest"
    queue: str = "1G"
    bucket: Bucket | None = None


def on_calendar(when: str) -> str:
    """Return "Sun 02:00" or "02:00" as systemd writes it."""
    day, _, at_time = when.rpartition(" ")
    return f"{day} *-*-* {at_time}:00".strip()


def declaration(recovery: Recovery) -> str:
    """Return what the program on the host reads; it puts in the cluster's whereabouts and secrets."""
    _check(recovery)
    texts = {CONFIG: render("pgbackrest.conf.j2", **asdict(recovery))}
    for kind, word in KINDS.items():
        about = {
            "description": f"{kind.capitalize()} backup of PostgreSQL for recovery to a moment",
            "config": CONFIG, "stanza": recovery.stanza, "kind": word,
            "timer": f"hostwright-recovery-{kind}.timer",
            "calendar": on_calendar(getattr(recovery, kind)),
        }  # fmt: skip
        for end in ("service", "timer"):
            texts[f"{UNITS}/hostwright-recovery-{kind}.{end}"] = render(f"recovery.{end}.j2", **about)
    return json.dumps(
        {
            "stanza": recovery.stanza, "config": CONFIG,
            "repository": recovery.repository if recovery.bucket is None else None,
            "files": texts, "timers": TIMERS,
        }
    )  # fmt: skip


def _check(recovery: Recovery) -> None:
    checks = [
        ("stanza", recovery.stanza, STANZA, "main"), ("full", recovery.full, WHEN, "Sun 02:00"),
        ("incremental", recovery.incremental, WHEN, "02:00"), ("queue", recovery.queue, SIZE, "1G"),
        ("repository", recovery.repository, PATH, "/var/lib/pgbackrest"),
    ]  # fmt: skip
    for what, value, expression, example in checks:
        if expression.fullmatch(value) is None:
            raise OperationError(f"pgbackrest: {what} {value!r} is not usable; write it like {example!r}")
    if recovery.bucket is not None:
        check_bucket(recovery.bucket)
    if recovery.keep_full < 1:
        raise OperationError(f"pgbackrest: keep_full is {recovery.keep_full}; keep 1 full backup or more")


def _converge(
    what: str, declared: str, cluster: str | None, fine: str
) -> Generator[StringCommand, None, None]:
    check_cluster(f"pgbackrest.{what}", cluster)
    found = host.get_fact(Differences, what=what, declared=declared, cluster=cluster)
    if found == []:
        host.noop(fine)
        return
    for line in found if found is not None else ["no cluster is up"]:
        differs("recovery", expected="as declared", found=line)
    yield told(at.program(PROGRAM, what, "apply", declared, need=at.UP, cluster=cluster))


@operation()
def configured(
    *,
    stanza: str = "main",
    full: str = "Sun 02:00",
    incremental: str = "02:00",
    keep_full: int = 2,
    repository: str = "/var/lib/pgbackrest",
    queue: str = "1G",
    bucket: Bucket | None = None,
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Write pgBackRest's configuration, checked by pgbackrest itself, make its stanza, and start the timers.

    The server's own settings, `archive_mode` and `archive_command`, come after this, by `postgres.settings`.

    + stanza: the cluster's name in the repository, default "main"
    + full, incremental: when, default "Sun 02:00" and "02:00"
    + keep_full: how many full backups are kept, default 2
    + repository: directory on the host, or in the bucket, default /var/lib/pgbackrest
    + queue: how much may wait to be archived before it is thrown away, default "1G"
    + bucket: where the repository is, encrypted, default none: it is on the host
    + cluster: "VERSION/NAME", default the host's only one

    Does not install pgbackrest, and does not move a repository that is declared elsewhere.

    Raises OperationError for a value that is not usable; fails on the host where pgbackrest refuses the
    configuration, or the repository has the backups of another cluster under this name.

    Example: `pgbackrest.configured(name="Be able to go back to any moment", keep_full=4)`
    """
    recovery = Recovery(stanza, full, incremental, keep_full, repository, queue, bucket)
    yield from _converge("configured", declaration(recovery), cluster, f"the stanza {stanza} is as declared")


@operation()
def archiving(*, stanza: str = "main", cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Prove with pgbackrest's check that changes reach the repository; begin a full backup where one is needed.

    One is where there is none yet, or where changes since the newest were thrown away. It goes on by itself
    on the host: nothing waits for it.

    + stanza: the cluster's name in the repository, default "main"
    + cluster: "VERSION/NAME", default the host's only one

    Where something was archived once, it does not fail when the last attempt did: a full repository is the
    acceptance suite's to tell, and must not stop a deploy.

    Fails on the host where nothing ever reached the repository.

    Example: `pgbackrest.archiving(name="Archive every change")`
    """
    if STANZA.fullmatch(stanza) is None:
        raise OperationError(f"pgbackrest: stanza {stanza!r} is not usable; write it like 'main'")
    declared = json.dumps({"stanza": stanza})
    yield from _converge("archiving", declared, cluster, "changes are archived already")


@operation()
def absent(*, cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Take the timers and pgBackRest's configuration away; the repository stays.

    + cluster: "VERSION/NAME", default the host's only one

    Take `archive_mode` and `archive_command` out of the server's settings first: a server that archives
    without a configuration keeps all that it cannot archive.

    Example: `pgbackrest.absent(name="No longer keep what recovery needs")`
    """
    declared = json.dumps({"files": dict.fromkeys(FILES, ""), "timers": TIMERS})
    yield from _converge("absent", declared, cluster, "nothing of pgBackRest is configured")


@operation(is_idempotent=False)
def recovered(
    to: str, *, stanza: str = "main", gone: bool = False, port: int = 5433, cluster: str | None = None
) -> Generator[StringCommand, None, None]:
    """
    Recover the cluster as it was at a moment, beside the running one, which is not touched.

    It gets a directory, a socket directory and a port of its own, listens on no address, archives nothing,
    and is gone after a boot but for its files.

    + to: the moment, with its offset from UTC, such as "2026-01-31 12:00:00+00:00"
    + stanza: name in the repository, default "main"
    + gone: whether that is another server's, which archives no more, default False
    + port: number in its socket's name, default 5433
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError for a moment that is none or has no offset; fails on the host where it cannot be
    recovered, with the first and the last that can, or is one of another version of PostgreSQL.

    Example: `pgbackrest.recovered("2026-01-31 12:00:00+00:00", name="As it was at noon")`
    """
    check_cluster("pgbackrest.recovered", cluster)
    spec = {"to": moment(to), "stanza": stanza, "gone": gone, "port": port, "root": RECOVERED}
    if STANZA.fullmatch(stanza) is None or not 1024 <= port <= 65535:
        raise OperationError(f"pgbackrest: stanza {stanza!r} or port {port} is not usable")
    yield told(
        at.program("pgbackrest-recover.py", "begin", json.dumps(spec), need=at.EXISTS, cluster=cluster)
    )


@operation(is_idempotent=False)
def forgotten(*, cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Stop what was recovered beside the running cluster, and remove its files.

    + cluster: "VERSION/NAME", default the host's only one

    Example: `pgbackrest.forgotten(name="Remove what was recovered")`
    """
    check_cluster("pgbackrest.forgotten", cluster)
    spec = json.dumps({"root": RECOVERED})
    yield told(at.program("pgbackrest-recover.py", "end", spec, need=at.EXISTS, cluster=cluster))


def moment(to: str) -> str:
    """Return a moment as PostgreSQL reads it, with its offset; raise OperationError for what is none."""
    try:
        found = datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", to.strip().replace("Z", "+00:00")))
    except ValueError:
        raise OperationError(
            f"pgbackrest: {to!r} is not a moment; write it like '2026-01-31 12:00:00+00:00'"
        ) from None
    if found.tzinfo is None:
        raise OperationError(
            f"pgbackrest: {to!r} does not say in which time zone; write '{to}+00:00' for UTC"
        )
    return found.isoformat(sep=" ")
