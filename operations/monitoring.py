"""Monitoring from Debian's own packages: exporters, Prometheus and Alertmanager, for one host or several."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation

from facts.bundle import There
from facts.script import text
from operations import bundle, dashboard
from operations.differences import differs
from operations.monitored import Monitoring, check
from operations.supervisor_text import render

CONFIGS = "/etc/hostwright/monitoring"
SECRETS = f"{CONFIGS}/secrets"
PROGRAM = "/usr/local/lib/hostwright/monitoring/alertmanager-config.py"
TEXTFILES = "/var/lib/prometheus/node-exporter"
STATE = "/var/lib/hostwright/monitoring"
ROLE = "prometheus"
FILES = Path(__file__).resolve().parent.parent / "files" / "monitoring"
# Of each job: the package, which brings a unit of the same name, and its port.
JOBS = {
    "node": ("prometheus-node-exporter", 9100),
    "postgres": ("prometheus-postgres-exporter", 9187),
    "prometheus": ("prometheus", 9090),
    "alertmanager": ("prometheus-alertmanager", 9093),
}
EXPORTERS = ("node", "postgres")
OWNED = [
    f"{CONFIGS}/*.yml", PROGRAM, *(f"{bundle.UNITS}/hostwright-{job}.service" for job in JOBS),
    *dashboard.OWNED,
]  # fmt: skip
# What node exporter looks at: what a rule or docs/monitoring.md asks for.
COLLECTORS = (
    "cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev", "stat", "textfile", "time", "timex",
    "uname", "vmstat",
)  # fmt: skip
# What is no disk of the host's.
NO_DISK = (
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fuse.*|hugetlbfs|iso9660|mqueue|nsfs|"
    "overlay|proc|procfs|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs)$$"
)
# Garbage is collected once there is a fifth of what is in use, not as much again: 8 MB less in all, for 0.2 %
# of a CPU. Go takes memory for each CPU that it may use, and these have little to do.
GARBAGE = "GOGC=20"
SMALL = ["GOMAXPROCS=1", GARBAGE]
# Where it cannot reach a webhook, Alertmanager says its whole URL, which is a secret.
WITHOUT_URLS = """/bin/bash -c 'exec {} 2> >(exec sed -u -E "s#https?://[^ ]*#(a URL)#g")'"""
DURATION = re.compile(r"(?<=\[)([0-9]+)([mhd])(?=\])|(?<=for: )([0-9]+)([mhd])|(?<=offset )([0-9]+)([mhd])")
# What an age is compared with, such as 3600 or 26 * 3600; other numbers are no times of a rule.
AGE = re.compile(r"(?P<age>time\(\) - \w+ [<>] )(?:(?P<times>[0-9]+) \* )?(?P<unit>3600|86400)\b")
SECONDS = {"m": 60, "h": 3600, "d": 86400}


def packages(*, server: bool) -> list[str]:
    """Return the Debian packages; each brings a unit of its own name, which must be kept off."""
    return [JOBS[job][0] for job in (JOBS if server else EXPORTERS)]


@cache
def rules(minute: int = 60) -> str:
    """Return the alert rules; `minute` is how many seconds a minute of theirs has."""
    whole = (FILES / "alerts.yml").read_text(encoding="utf-8")
    if minute == 60:
        return whole

    def shorter(found: re.Match[str]) -> str:
        number, unit = next((found[n], found[n + 1]) for n in (1, 3, 5) if found[n] is not None)
        return f"{max(1, int(number) * SECONDS[unit] * minute // 60)}s"

    def younger(found: re.Match[str]) -> str:
        seconds = int(found["times"] or 1) * int(found["unit"])
        return f"{found['age']}{max(1, seconds * minute // 60)}"

    return AGE.sub(younger, DURATION.sub(shorter, whole))


def files(one: Monitoring) -> list[bundle.File]:
    """
    Return the files of what monitors a host.

    Raises OperationError for what is not usable.
    """
    check(one)
    made = [
        bundle.File(f"{bundle.UNITS}/hostwright-{job}.service", unit_text(job, one)) for job in _jobs(one)
    ]
    if one.server:
        jobs = {job: port for job, (_, port) in JOBS.items()}
        others = {name: _in_url(address) for name, address in one.targets.items()}
        config = render(
            "prometheus.yml.j2", every=one.every, host=one.host, jobs=jobs, exporters=EXPORTERS, others=others
        )
        alerts = render(
            "alertmanager.yml.j2",
            runtime=_runtime(),
            minute=one.minute,
            webhook=one.webhook,
            email=one.email,
            place=lambda name: f"http://hostwright.invalid/{name}",
        )
        made += [
            bundle.File(f"{CONFIGS}/prometheus.yml", config),
            bundle.File(f"{CONFIGS}/alerts.yml", rules(one.minute)),
            bundle.File(f"{CONFIGS}/alertmanager.yml", alerts),
            bundle.File(PROGRAM, text("alertmanager-config.py"), mode="0755"),
            *dashboard.files(),
        ]
    return made


def checks(one: Monitoring) -> list[list[str]]:
    """Return the commands that read the configurations before they count."""
    if not one.server:
        return []
    return [
        ["promtool", "check", "config", f"@{CONFIGS}/prometheus.yml"],
        ["amtool", "check-config", f"@{CONFIGS}/alertmanager.yml"],
    ]


def units(one: Monitoring) -> list[bundle.Unit]:
    """Return the units, each started anew where a file that it reads differs."""
    return [
        bundle.Unit(
            f"hostwright-{job}.service",
            reads=_reads(job, one),
            record=record(job),
            answers=f"http://127.0.0.1:{JOBS[job][1]}{'/-/ready' if job not in EXPORTERS else '/'}",
        )
        for job in _jobs(one)
    ]


def unit_text(job: str, one: Monitoring) -> str:
    """Return the unit of one job."""
    package, port = JOBS[job]
    values: dict[str, Any] = {
        "reads": " ".join([f"{bundle.UNITS}/hostwright-{job}.service", *_reads(job, one)]),
        "record": record(job), "environment": [], "state": None, "runtime": None, "before": None,
        "after": None, "reload": False, "home": "true",
    }  # fmt: skip
    listen = [f"--web.listen-address={at}:{port}" for at in _addresses(job, one)]
    match job:
        case "node":
            wanted = [f"--collector.{one}" for one in COLLECTORS]
            more: dict[str, Any] = {
                "description": "Measurements of this host (node exporter)",
                "command": [
                    "--collector.disable-defaults", *wanted, f"--collector.textfile.directory={TEXTFILES}",
                    f"--collector.filesystem.fs-types-exclude={NO_DISK}", "--web.disable-exporter-metrics",
                ],
                "memory": "64M", "environment": SMALL,
                # It measures the disk that home directories may be on.
                "home": "read-only",
            }  # fmt: skip
        case "postgres":
            login = (
                f"user={ROLE} dbname=postgres host=/run/postgresql port={one.database_port} sslmode=disable"
            )
            more = {
                "description": "Measurements of PostgreSQL (postgres exporter)", "command": [],
                "memory": "64M", "environment": [*SMALL, f'"DATA_SOURCE_NAME={login}"'],
                "after": "postgresql.service",
            }  # fmt: skip
        case "prometheus":
            more = {
                "description": "Prometheus",
                "command": [
                    f"--config.file={CONFIGS}/prometheus.yml", f"--storage.tsdb.path={STATE}/prometheus",
                    f"--storage.tsdb.retention.time={one.keep_days}d",
                    f"--storage.tsdb.retention.size={one.keep_size}",
                    f"--web.user-assets={dashboard.ROOT}",
                    "--query.max-concurrency=4", "--query.max-samples=5000000",
                ],
                # On a droplet of 2 GB; it collects garbage sooner instead of taking more.
                "memory": "400M", "environment": ["GOMEMLIMIT=80MiB", GARBAGE],
                "state": "prometheus", "reload": True,
            }  # fmt: skip
        case _:
            runtime = _runtime()
            more = {
                "description": "Alertmanager",
                "command": [
                    f"--config.file={runtime}", f"--storage.path={STATE}/alertmanager",
                    # One alone: no gossip, and so no second port.
                    "--cluster.listen-address=",
                ],
                "memory": "128M", "environment": SMALL,
                "state": "alertmanager", "runtime": "hostwright-alertmanager",
                "before": " ".join(
                    ["/usr/bin/python3 -I", PROGRAM, f"{CONFIGS}/alertmanager.yml", SECRETS, runtime, ROLE]
                ),
            }  # fmt: skip
    command = " ".join([f"/usr/bin/{package}", *listen, *more["command"]])
    if job == "alertmanager" and one.webhook:
        command = WITHOUT_URLS.format(command)
    return render("monitoring.service.j2", **{**values, **more, "command": command})


def wanted_by(job: str) -> str:
    """Return the link that starts a job's unit at boot."""
    return f"{bundle.UNITS}/multi-user.target.wants/hostwright-{job}.service"


def _addresses(job: str, one: Monitoring) -> list[str]:
    """Return where a job listens: the exporters also where another host asks them."""
    more = [one.listen] if one.listen is not None and job in EXPORTERS else []
    return ["127.0.0.1", *(_in_url(address) for address in more)]


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _jobs(one: Monitoring) -> Sequence[str]:
    return list(JOBS) if one.server else EXPORTERS


def record(job: str) -> str:
    """Return the file in which a job's unit notes what it was started with."""
    return f"/run/hostwright-{job}.started"


def _runtime() -> str:
    return "/run/hostwright-alertmanager/alertmanager.yml"


def _reads(job: str, one: Monitoring) -> list[str]:
    if job == "prometheus":
        return [f"{CONFIGS}/prometheus.yml", f"{CONFIGS}/alerts.yml"]
    if job == "alertmanager":
        secrets = {"webhook": one.webhook, "email_password": one.email is not None and one.email.password}
        mine = [f"{SECRETS}/{name}" for name, there in secrets.items() if there]
        return [f"{CONFIGS}/alertmanager.yml", PROGRAM, *mine]
    return []


@operation()
def forgotten() -> Generator[StringCommand, None, None]:
    """
    Remove what was measured, and what keeps the packages' own units off, once nothing of it runs any more.

    The packages have to be gone before: the units that they bring would run at the next boot.

    Example: `monitoring.forgotten(name="Remove what was measured")`
    """
    if not host.get_fact(There, patterns=[STATE]):
        host.noop("nothing was measured, or nothing is left of it")
        return
    differs(STATE, expected="none", found="there")
    units = [f"{package}.service" for package, _ in JOBS.values()]
    yield StringCommand("systemctl", "--quiet", "unmask", "--", *(QuoteString(one) for one in units))
    # Last: as long as it is there, a next run goes on here.
    yield StringCommand("rm", "-rf", "--", QuoteString(STATE))
