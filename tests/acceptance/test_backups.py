"""Backups: they are made when they should be, the newest is young and whole, and nobody else reads them."""

from __future__ import annotations

from typing import Any

import pytest

from declared import DeclaredHost
from settings.app import App
from tasks import backups
from tests.acceptance.view import HostView

HOUR = 3600
# One a day, up to 15 minutes later than the one before, and as long as it may take.
YOUNG = 26 * HOUR
PROOF_YOUNG = {"daily": 26 * HOUR, "weekly": 8 * 24 * HOUR}


@pytest.mark.only("backed_up")
def test_backups_are_scheduled(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The timers that are declared run, do so after a boot, and know when they elapse next."""
    found: dict[str, Any] = view.backups(app)["timers"]
    wanted = {"enabled": "enabled", "active": "active", "next": True}
    assert found == dict.fromkeys(backups.timers_on(app), wanted)


@pytest.mark.only("backed_up")
def test_newest_backup_is_young_and_whole(declared: DeclaredHost, app: App, view: HostView) -> None:
    """There is a backup that is no older than the schedule allows, and the last attempt did not fail."""
    found = view.backups(app)
    assert found["made"], f"{app.backup_root} has no backup"
    hours = (found["now"] - max(found["made"].items())[1]) / HOUR
    assert hours * HOUR < YOUNG, f"the newest backup of {app.key} is {hours:.0f} hours old"
    assert found["state"]["last_attempt"]["ok"], found["state"]["last_attempt"]["why"]
    assert app.backed_up is not None
    if app.backed_up.copy_ is not None and "copied" in found["state"]:
        assert found["state"]["copied"]["ok"], found["state"]["copied"]["why"]


@pytest.mark.only("backed_up")
def test_backup_is_proven(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The last proof did not fail and is no older than the schedule allows; nor is a backup without one."""
    assert app.backed_up is not None
    if app.backed_up.prove is None:
        pytest.skip(f"group_data says prove = None: the backups of {app.key} are not proven by themselves")
    found = view.backups(app)
    proof = found["state"].get("proof")
    assert proof is None or proof["ok"], proof["why"]
    since = proof["at"] if proof is not None else min(found["made"].values())
    allowed = PROOF_YOUNG["weekly" if " " in app.backed_up.prove else "daily"]
    assert found["now"] - since < allowed, f"no backup of {app.key} was proven for {allowed // HOUR} hours"


@pytest.mark.only("backed_up")
def test_backups_are_root_only(declared: DeclaredHost, app: App, view: HostView) -> None:
    """All of it is root's alone: it holds the data, and the verifiers of passwords."""
    assert view.backups(app)["loose"] == []
