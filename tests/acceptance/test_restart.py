"""The restart command: everything of an app stops and starts, and no configuration file changes by it."""

from __future__ import annotations

import pytest

from declared import DeclaredHost, Service
from settings import Settings
from settings.app import App
from tasks import config_guard
from tests.acceptance.view import HostView

pytestmark = pytest.mark.disruptive


def test_restart_command_succeeds(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The command waits until everything runs, and prints the state."""
    found = view.restart(app)
    assert found["rc"] == 0, found["said"]
    assert [key for key in app.services if key not in found["said"]] == []


def test_restart_gives_a_new_process(
    declared: DeclaredHost, app: App, service: Service, view: HostView
) -> None:
    """The service really was restarted, and runs."""
    before, after = view.restart(app)["pids"]
    assert after[service.key]["state"] == "RUNNING"
    assert after[service.key]["pid"] != before[service.key]["pid"]


def test_restart_leaves_configuration_as_it_was(declared: DeclaredHost, app: App, view: HostView) -> None:
    """No file of configuration and no file of the release is written by a stop and a start."""
    before, after = view.restart(app)["files"]
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    assert before
    assert changed == []


def test_restart_lets_nobody_write_configuration(
    declared: DeclaredHost, settings: Settings, app: App, view: HostView
) -> None:
    """Not even what was put back meanwhile was written: who did it, and when, is in the failure."""
    if not settings.config_guard:
        pytest.skip("group_data says config_guard = False: nobody watches the configuration")
    before = {(one["path"], one["at"]) for one in view.config_changes()["changes"]}
    mine = [one for one in view.restart(app)["changes"] if one["app"] == app.key]
    said = [
        line for one in mine if (one["path"], one["at"]) not in before for line in config_guard.change(one)
    ]
    assert not said, "\n" + "\n".join(said)


@pytest.mark.only("health")
def test_health_after_restart(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """The health page answers 200 again."""
    status, text = view.restart(app)["pages"][service.key, str(service.health)]
    assert status == 200, text[:300]
