"""When each alert of files/monitoring/alerts.yml fires and when it does not, for promtool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from operations import monitoring

GIB = 2**30
APP = {"app": "shop", "host": "h"}
SERVICE = {**APP, "service": "web"}
# Promtool's own notation, a sample a minute: 1+0x4 is 1 five times, 0+2x9 is 0 2 4 ... 18.
LONG = "+0x400"


@dataclass(frozen=True)
class Case:
    """
    One course of things.

    + alert: its name
    + series: name with labels to values
    + fires: minute in which it fires, None for a course in which it never does
    + quiet: minutes in which it does not
    + labels: of the alert, besides its name and severity
    + step: minutes from sample to sample, and from look to look, default 1; what takes days has a longer one
    """

    alert: str
    series: dict[str, str]
    fires: int | None
    quiet: tuple[int, ...]
    labels: dict[str, str] = field(default_factory=dict)
    step: int = 1


def series(metric: str, labels: dict[str, str]) -> str:
    return metric + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def one(metric: str, values: str, **labels: str) -> dict[str, str]:
    return {series(metric, {"host": "h", **labels}): values}


def app(metric: str, values: str, **labels: str) -> dict[str, str]:
    return one(f"hostwright_{metric}", values, app="shop", **labels)


def usual(end: str, values: str, of: str, **labels: str) -> dict[str, str]:
    return {series(f"hostwright_baseline_{end}", {**APP, "metric": of, **labels}): values}


def disk(avail: str, readonly: int = 0) -> dict[str, str]:
    place = {"mountpoint": "/", "device": "/dev/vda1"}
    return {
        **one("node_filesystem_avail_bytes", avail, **place),
        **one("node_filesystem_size_bytes", f"{25 * GIB}{LONG}", **place),
        **one("node_filesystem_readonly", f"{readonly}{LONG}", **place),
    }


DISK = {"host": "h", "mountpoint": "/", "device": "/dev/vda1"}
HELD = app("held", f"1{LONG}")
HOUR, DAY = 3600, 1440
CASES = (
    Case("ServiceDown", app("service_running", "1+0x4 0+0x9 1+0x9", service="web"), 7, (6, 15), SERVICE),
    Case("ServiceDown", {**app("service_running", "0+0x30", service="web"), **HELD}, None, (20,)),
    Case(
        "RestartLoop", app("service_restarts_total", "0+0x10 0+1x6 6+0x30", service="web"),
        16, (14, 40), SERVICE,
    ),
    Case("GatesFailing", app("gates_passed", "1+0x4 0+0x9 1+0x9"), 8, (7, 15), APP),
    Case("GatesFailing", {**app("gates_passed", "0+0x30"), **HELD}, None, (20,)),
    Case(
        "HealthRestarted", app("health_restarts_total", "0+0x5 1+0x100", service="web"),
        7, (5, 70), SERVICE,
    ),
    Case(
        "RecoverySlow",
        {**app("recovery_seconds", f"0.25{LONG}"), **app("recovery_timestamp_seconds", f"0{LONG}")},
        1, (61,), APP,
    ),
    Case(
        "RecoverySlow",
        {**app("recovery_seconds", f"0.04{LONG}"), **app("recovery_timestamp_seconds", f"0{LONG}")},
        None, (1,),
    ),
    Case(
        "OutsideBaseline",
        {
            **usual("value", "100+0x4 300+0x40 100+0x9", of="gates"),
            **usual("low", f"50{LONG}", of="gates"),
            **usual("high", f"200{LONG}", of="gates"),
        },
        21, (19, 46), {**APP, "metric": "gates"},
    ),
    Case(
        "OutsideBaseline",
        {
            **usual("value", "100+0x4 10+0x40", of="cpu", service="web"),
            **usual("low", f"50{LONG}", of="cpu", service="web"),
            **usual("high", f"200{LONG}", of="cpu", service="web"),
        },
        21, (19,), {**SERVICE, "metric": "cpu"},
    ),
    # While it is learnt there is no range.
    Case("OutsideBaseline", usual("value", "100+0x4 900+0x60", of="gates"), None, (50,)),
    Case("LogGrowth", app("log_written_bytes_total", "0+3000000x60"), 28, (25,), APP),
    Case("LogGrowth", app("log_written_bytes_total", "0+1000000x60"), None, (40,)),
    Case(
        "ErrorLines", app("error_lines_total", "0+0x10 0+2x10 20+0x30", service="web"),
        18, (14, 40), SERVICE,
    ),
    Case("CpuHigh", one("node_cpu_seconds_total", "0+6x60", mode="idle", cpu="0"), 13, (9,), {"host": "h"}),
    Case("CpuHigh", one("node_cpu_seconds_total", "0+20x60", mode="idle", cpu="0"), None, (40,)),
    Case(
        "MemoryLow",
        {
            **one("node_memory_MemAvailable_bytes", f"{GIB}+0x4 {GIB // 10}+0x20 {GIB}+0x9"),
            **one("node_memory_MemTotal_bytes", f"{2 * GIB}{LONG}"),
        },
        15, (14, 27), {"host": "h"},
    ),
    Case(
        "SwapUsed",
        {
            **one("node_memory_SwapFree_bytes", f"{GIB}+0x4 {GIB // 10}+0x20"),
            **one("node_memory_SwapTotal_bytes", f"{2 * GIB}{LONG}"),
        },
        15, (14,), {"host": "h"},
    ),
    Case(
        "SwapUsed",
        {**one("node_memory_SwapFree_bytes", f"0{LONG}"), **one("node_memory_SwapTotal_bytes", f"0{LONG}")},
        None, (20,),
    ),
    # 9 GiB of 25 are left, and 8 MiB a minute go: that lasts for 19 hours.
    Case("DiskFilling", disk(f"{9 * GIB}-{8 * 2**20}x400"), 60, (20,), DISK),
    # At 2 MiB a minute it lasts for three days.
    Case("DiskFilling", disk(f"{9 * GIB}-{2 * 2**20}x400"), None, (300,)),
    # A large upload to an empty disk is no trend.
    Case("DiskFilling", disk(f"{20 * GIB}-{60 * 2**20}x60"), None, (55,)),
    Case("DiskAlmostFull", disk(f"{9 * GIB}+0x4 {GIB}+0x9 {9 * GIB}+0x9"), 10, (9, 16), DISK),
    Case("DiskAlmostFull", disk(f"0{LONG}", readonly=1), None, (30,)),
    Case(
        "ClockWrong",
        {**one("node_timex_sync_status", f"0{LONG}"), **one("node_timex_maxerror_seconds", f"16{LONG}")},
        10, (9,), {"host": "h"},
    ),
    # A clock that was kept until now is right for a while longer.
    Case(
        "ClockWrong",
        {**one("node_timex_sync_status", f"0{LONG}"), **one("node_timex_maxerror_seconds", f"0.5{LONG}")},
        None, (60,),
    ),
    Case("ClockWrong", one("node_timex_offset_seconds", f"-0.4{LONG}"), 10, (9,), {"host": "h"}),
    Case("DatabaseDown", one("pg_up", "1+0x4 0+0x9 1+0x9"), 7, (6, 15), {"host": "h"}),
    Case(
        "DatabaseConnections",
        {
            **one("pg_stat_database_numbackends", "40+0x4 70+0x9 40+0x9", datname="shop"),
            **one("pg_stat_database_numbackends", "15+0x40", datname="other"),
            **one("pg_settings_max_connections", "100+0x40"),
        },
        10, (9, 16), {"host": "h"},
    ),
    Case(
        "DatabaseGrowth",
        one("pg_database_size_bytes", f"{GIB}+0x{DAY // 10} {2 * GIB}+0x40", datname="shop"),
        DAY + 50, (DAY + 20,), {"host": "h", "datname": "shop"}, step=10,
    ),
    # From nothing to a hundred MiB is what a new database does.
    Case(
        "DatabaseGrowth", one("pg_database_size_bytes", f"1+0x{DAY // 10} 100000000+0x9", datname="s"),
        None, (DAY + 60,), step=10,
    ),
    Case(
        "DatabaseWritesStopped",
        {
            **one("pg_stat_database_tup_inserted", "0+10x300 3000+0x300", datname="shop"),
            **one("pg_stat_database_tup_updated", "0+0x600", datname="shop"),
            **one("pg_stat_database_tup_deleted", "0+0x600", datname="shop"),
        },
        400, (380,), {"host": "h", "datname": "shop"},
    ),
    Case(
        "BackupTooOld", app("backup_last_success_timestamp_seconds", f"{300 - 26 * HOUR}{LONG}"),
        16, (15,), APP,
    ),
    Case("BackupFailed", app("backup_last_attempt_ok", "1+0x4 0+0x9 1+0x9"), 10, (9, 16), APP),
    Case(
        "BackupUnproven", app("backup_last_proof_timestamp_seconds", f"{300 - 8 * 24 * HOUR}{LONG}"),
        16, (15,), APP,
    ),
    Case("BackupUnproven", app("backup_last_proof_ok", f"0{LONG}"), 10, (9,), APP),
    Case("RunFailed", one("hostwright_run_last_ok", "1+0x4 0+0x30 1+0x9"), 20, (19, 37), {"host": "h"}),
    Case(
        "RunUnconfirmed", one("hostwright_trial_armed_timestamp_seconds", f"0{LONG}"),
        61, (60,), {"host": "h"},
    ),
    Case("Drift", one("hostwright_drift_differences", "0+0x4 2+0x9 0+0x9"), 5, (4, 16), {"host": "h"}),
    # A run that was confirmed after it leaves none.
    Case("Drift", one("hostwright_drift_differences", "2+0x4 stale _x20"), 4, (5, 20), {"host": "h"}),
    Case(
        "ExporterDown", one("up", "1+0x4 0+0x9 1+0x9", job="node"),
        8, (7, 15), {"host": "h", "job": "node"},
    ),
    # Of several hosts the one that is down is told, by its own name.
    Case(
        "ExporterDown",
        {
            **one("up", f"1{LONG}", job="node"),
            series("up", {"host": "db-1", "job": "node"}): "1+0x4 0+0x9 1+0x9",
        },
        8, (7, 15), {"host": "db-1", "job": "node"},
    ),
    Case(
        "HealthStale",
        {
            **one("hostwright_health_run_timestamp_seconds", f"0{LONG}"),
            **one("hostwright_health_every_seconds", f"60{LONG}"),
        },
        7, (6,), {"host": "h"},
    ),
    Case("HealthStale", one("up", f"1{LONG}", job="node"), 2, (1,), {"host": "h", "job": "node"}),
    Case(
        "HealthStale",
        {
            **one("up", f"1{LONG}", job="node"),
            **one("hostwright_health_run_timestamp_seconds", "0+60x30"),
            **one("hostwright_health_every_seconds", f"60{LONG}"),
        },
        None, (20,),
    ),
    Case(
        "AlertsNotSent",
        one("alertmanager_notifications_failed_total", "0+0x5 1+0x30", integration="webhook"),
        7, (5, 30), {"host": "h", "integration": "webhook"},
    ),
)  # fmt: skip


def rules_without_words() -> str:
    """Return the rules without their annotations, which promtool would want to be told again in each case."""
    rules: dict[str, Any] = yaml.safe_load(monitoring.rules())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return yaml.safe_dump(rules)


def severity(alert: str) -> str:
    rules: dict[str, Any] = yaml.safe_load(monitoring.rules())
    found = (rule for group in rules["groups"] for rule in group["rules"] if rule.get("alert") == alert)
    return str(next(found)["labels"]["severity"])


def promtool_texts(rules_file: str) -> dict[str, str]:
    """Return the files of `promtool test rules` for all cases, name to text."""
    tests: dict[int, list[Any]] = {}
    for case in CASES:
        expected = {"exp_labels": {**case.labels, "severity": severity(case.alert)}}
        asked: list[dict[str, Any]] = [
            {"eval_time": f"{at}m", "alertname": case.alert, "exp_alerts": []} for at in case.quiet
        ]
        if case.fires is not None:
            asked.append({"eval_time": f"{case.fires}m", "alertname": case.alert, "exp_alerts": [expected]})
        given = [{"series": name, "values": values} for name, values in case.series.items()]
        tests.setdefault(case.step, []).append(
            {"interval": f"{case.step}m", "input_series": given, "alert_rule_test": asked}
        )
    return {
        f"cases-{step}.yml": yaml.safe_dump(
            {"rule_files": [rules_file], "evaluation_interval": f"{step}m", "tests": mine}
        )
        for step, mine in tests.items()
    }
