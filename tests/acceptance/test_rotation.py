"""Logs: rotated for real, twice, while lines are written; the logs are in order again afterwards."""

from __future__ import annotations

import re
from typing import Any

import pytest

from declared import DeclaredHost, Service
from settings.app import App
from tests.acceptance.remote import Remote
from tests.acceptance.view import HostView

# What systemd runs logs to the journal, which turns itself over.
pytestmark = pytest.mark.only("supervised")


def test_logrotate_keeps_what_is_declared(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """The file says daily, compressed, and for how many days."""
    text = remote.run("cat", f"/etc/logrotate.d/{app.key}").stdout
    words = {tuple(line.split()) for line in text.splitlines()}
    wanted = {("daily",), ("compress",), ("delaycompress",), ("missingok",), ("notifempty",)}
    assert wanted | {("rotate", str(app.logs.keep))} <= words
    assert re.search(rf"^\s*create 0\d\d0 {app.service_user} ", text, re.MULTILINE)


def test_rotation_works(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Logrotate rotates with the deployed file, and again a second later."""
    rotations = view.rotation(app)["rotations"]
    assert [(one["rc"], one["said"]) for one in rotations] == [(0, ""), (0, "")]


def test_rotation_opens_new_files(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Each log gets a new file, supervisor writes to it, and has let go of the old one."""
    wrong = {
        log: state
        for one in view.rotation(app)["rotations"]
        for log, state in one["logs"].items()
        if state != {"new_file": True, "follows": True, "lets_go": True}
    }
    assert not wrong


def test_rotation_compresses_only_the_older(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Of two rotations the older is compressed: what was just moved aside may still be written to."""
    found = view.rotation(app)
    both = set.intersection(*(set(one["logs"]) for one in found["rotations"]))
    assert both, "no log was rotated twice"
    wrong = {
        log: names
        for log, names in ((log, found["logs"][log]["rotated"]) for log in both)
        if [name.endswith(".gz") for name in names] != [True, False]
    }
    assert not wrong


def _of(service: Service, view: HostView) -> dict[str, Any]:
    """Return what the rotation meant for a service; one that does not run proves nothing."""
    found: dict[str, dict[str, Any]] = view.rotation(service.app)["services"]
    assert service.key in found, f"{service.key} does not run"
    return found[service.key]


def test_rotation_changes_no_process(
    declared: DeclaredHost, app: App, service: Service, view: HostView
) -> None:
    """The service has the process that it had before."""
    found = _of(service, view)
    assert found["after"] == found["before"]


def test_rotation_loses_no_line(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """Every line written to the service's output during both rotations is in its logs, once, in order."""
    found = _of(service, view)
    assert found["broken"] is None, found["broken"]
    assert found["written"] > 0
    assert (found["lost"], found["twice"], found["in_order"]) == ([], 0, True)
