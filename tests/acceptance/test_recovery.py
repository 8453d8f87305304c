"""Going back to a moment: changes reach the repository, backups are recent, nothing is missing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from declared import DeclaredHost
from operations.pgbackrest import TIMERS
from settings import Settings
from settings.recovery import RecoverySettings
from tests.acceptance.view import HostView

DAY = 24 * 60 * 60
# What a backup itself, and a host that was off at the time, may take.
SPARE = 6 * 60 * 60
# A change reaches the repository in seconds; a server that is being busy in minutes.
WAITING_SECONDS = 15 * 60
FIRST_BACKUP_SECONDS = 120
LEAST_FREE = 0.1


@pytest.fixture
def recovery(settings: Settings) -> RecoverySettings:
    """What is declared of recovery."""
    found = settings.postgresql.recovery
    if found is None or not found.enabled:
        pytest.skip("group_data declares no postgresql.recovery")
    return found


@pytest.fixture
def seen(recovery: RecoverySettings, settings: Settings, view: HostView) -> Any:
    """What the host says of it, looked at once."""
    about = {
        "stanza": recovery.stanza,
        "timers": TIMERS,
        "port": settings.postgresql.port,
        "repository": recovery.repository if recovery.s3 is None else None,
    }
    deadline = time.monotonic() + FIRST_BACKUP_SECONDS
    found = view.recovery(about)
    while not found["backups"] and found["first"] and time.monotonic() < deadline:
        time.sleep(2)
        found = view.recovery(about, again=True)
    return found


def test_every_change_is_archived(declared: DeclaredHost, seen: Any) -> None:
    """The last attempt to archive went well, and nothing waits for long."""
    archiver = seen["archiver"]
    assert archiver["archived"], "nothing was ever archived"
    assert not archiver["failed"], "the last attempt to archive failed; the server's log says why"
    assert archiver["oldest"] < WAITING_SECONDS, f"{archiver['waiting']} segments wait to be archived"


def test_nothing_is_missing_in_the_archive(declared: DeclaredHost, seen: Any) -> None:
    """Since the newest backup nothing was thrown away; or else the remedy is a new backup, now."""
    assert seen["gaps"] == 0, (
        f"{seen['gaps']} segments are missing since the newest backup; make one: "
        "systemctl start hostwright-recovery-full"
    )


def test_recovery_backups_are_recent(declared: DeclaredHost, recovery: RecoverySettings, seen: Any) -> None:
    """The newest backup, and the newest full one, are no older than declared."""
    assert seen["backups"], "there is no backup"
    weekly = {"full": " " in recovery.full, "any": " " in recovery.full and " " in recovery.incremental}
    limits = {kind: (7 if slow else 1) * DAY + SPARE for kind, slow in weekly.items()}
    assert {kind: age for kind, age in seen["ages"].items() if age > limits[kind]} == {}


def test_recovery_timers_wait(declared: DeclaredHost, seen: Any) -> None:
    """The next backups will be made, after a boot too."""
    assert seen["timers"] == {timer: ["active", "enabled"] for timer in TIMERS}


def test_repository_has_room(declared: DeclaredHost, seen: Any) -> None:
    """A full one would throw changes away, and where it shares the server's disk, stop the server."""
    if seen["free"] is None:
        pytest.skip("the repository is in a bucket, which has no end that a host could see")
    assert seen["free"] > LEAST_FREE, f"only {seen['free']:.0%} of the repository's disk is free"
