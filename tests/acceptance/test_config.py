"""The apps' configuration: it is watched, and nobody but a run has changed any of it."""

from __future__ import annotations

import pytest

from declared import DeclaredHost
from settings import Settings
from settings.app import App
from tasks import config_guard
from tests.acceptance.view import HostView


def test_configuration_is_watched(declared: DeclaredHost, settings: Settings, view: HostView) -> None:
    """The guard runs as it is installed, or is not there where none is declared."""
    found = view.config_changes()
    if not settings.config_guard:
        assert not found["installed"]
        pytest.skip("group_data says config_guard = False: nobody watches the configuration")
    assert found["runs"], "systemctl status hostwright-config-guard"
    assert found["accepted"] is not None


def test_configuration_is_as_accepted(
    declared: DeclaredHost, settings: Settings, app: App, view: HostView
) -> None:
    """No watched file differs from what the last run made of it; a failure shows the difference."""
    if not settings.config_guard:
        pytest.skip("group_data says config_guard = False: nobody watches the configuration")
    mine = {path: one for path, one in view.config_changes()["differs"].items() if one["app"] == app.key}
    said = [line for path, about in mine.items() for line in config_guard.differing(path, about, told=False)]
    assert not said, "\n" + "\n".join(said)


def test_configuration_was_changed_by_runs_alone(
    declared: DeclaredHost, settings: Settings, app: App, view: HostView
) -> None:
    """Nobody else has written, replaced, made or removed any since; a failure shows who, and when."""
    if not settings.config_guard:
        pytest.skip("group_data says config_guard = False: nobody watches the configuration")
    mine = [one for one in view.config_changes()["changes"] if one["app"] == app.key]
    said = [line for one in mine for line in config_guard.change(one)]
    assert not said, "\n" + "\n".join(said)
