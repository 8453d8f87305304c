"""Backups as they are declared: the schedule, what is refused, and how they are told of."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from pyinfra.api import OperationError

from facts.backups import ScheduledFields
from operations import backups
from operations.backups import Backup
from settings.backup import BackupSettings
from tasks import backups as tasks
from tests.unit.backup_program import KEY, NOW

SHOP = Backup("shop", database="shop", app_root="/opt/shop")


def now(wanted: dict[str, tuple[str, str]], **timers: bool) -> ScheduledFields:
    import hashlib

    return ScheduledFields(
        files={
            path: {"sha256": hashlib.sha256(body.encode()).hexdigest(), "mode": mode, "owner": "0:0"}
            for path, (body, mode) in wanted.items()
        },
        timers={path.rpartition("/")[2]: True for path in wanted if path.endswith(".timer")} | timers,
        backed_up=[],
    )


def test_difference() -> None:
    wanted = backups.files([SHOP])
    same = backups.difference(wanted, now(wanted))
    assert (same.write, same.timers, same.gone) == ({}, [], [])
    later = backups.files([Backup("shop", database="shop", app_root="/opt/shop", at="05:00", prove=None)])
    found = backups.difference(later, now(wanted))
    assert found.timers == ["hostwright-backup-shop.timer"]
    assert found.gone == ["/etc/systemd/system/hostwright-prove-shop.timer"]
    assert set(found.write) == {
        "/etc/hostwright/backup/shop.json", "/etc/systemd/system/hostwright-backup-shop.timer",
    }  # fmt: skip
    stopped = now(wanted)
    stopped["timers"]["hostwright-prove-shop.timer"] = False
    assert backups.difference(wanted, stopped).timers == ["hostwright-prove-shop.timer"]
    assert len(backups.difference({}, now(wanted)).gone) == len(wanted)


def test_calendar() -> None:
    assert backups.on_calendar("03:30") == "*-*-* 03:30:00"
    assert backups.on_calendar("Sun 04:30") == "Sun *-*-* 04:30:00"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": "3:30"}, "write a time"),
        ({"prove": "Sunday"}, "write it like 'Sun 04:30'"),
        ({"app_root": "opt"}, "is not usable"),
        ({"copy": {"kind": "rsync", "to": "/mnt"}}, "no age_recipients"),
    ],
)
def test_wrong_arguments(wrong: dict[str, object], says: str) -> None:
    arguments: dict[str, object] = {"app": "shop", "database": "shop", "app_root": "/opt/shop", **wrong}
    with pytest.raises(OperationError, match=says):
        backups.files([Backup(**arguments)])  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"at": "25:00"}, "is not a time"),
        ({"daily": 0}, "greater than or equal to 1"),
        ({"copy": {"kind": "rsync", "to": "b@h:x"}}, "readable there"),
        ({"age_recipients": [KEY]}, "there is no 'copy'"),
        ({"age_recipients": ["AGE-SECRET-KEY-1"]}, "public key"),
        ({"age_recipients": [KEY], "copy": {"kind": "rsync", "to": "-e sh"}}, "is not a place"),
        ({"age_recipients": [KEY], "copy": {"kind": "rsync", "to": "/m", "config": "/root/c"}}, "for rclone"),
    ],
)
def test_wrong_settings(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BackupSettings.model_validate(given)


def test_settings() -> None:
    found = BackupSettings.model_validate({"age_recipients": [KEY], "copy": {"kind": "rclone", "to": "s3:b"}})
    assert found.copy_ is not None
    assert (found.at, found.copy_.to, found.prove) == ("03:30", "s3:b", "Sun 04:30")
    app = SimpleNamespace(backed_up=found)
    assert tasks.packages(SimpleNamespace(all_apps=lambda: [app])) == ["age", "rclone"]  # type: ignore[arg-type]


def test_overview() -> None:
    one = {"stamp": "20261125T220000Z", "made": NOW, "bytes": 1 << 20, "seconds": 1.5, "server_version": "15",
           "release": "3f9c", "tables": 2, "rows": 10}  # fmt: skip
    found = {
        "backups": [one], "now": NOW + 3 * 3600,
        "state": {
            "proof": {"ok": False, "at": NOW, "why": "its checksum differs"},
            "proven": {"stamp": "20261125T220000Z", "at": NOW},
        },
    }  # fmt: skip
    lines = tasks.overview("shop", found)
    assert "3 h old" in lines[1]
    assert "proven 2026-11-18" in lines[1]
    assert lines[2].startswith("  THE LAST PROOF FAILED")
    assert time.gmtime(NOW).tm_year == 2026
