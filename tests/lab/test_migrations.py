"""Migrations on real hosts: once for each release, whole when a run is cut off, never two at a time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.lab import playbook
from tests.lab.playbook import LabHost, run, shell

pytestmark = pytest.mark.images("bookworm")
ONE_LOGIN = True
UNIT = "hostwright-migrate-shop.service"
DEPLOY = """
from operations import migrations
migrations.applied(name="migrate", app_dir="/opt/shop", release={release!r}, user="nobody", wait={wait},
                   env_file="/etc/shop/env", command=["/bin/sh", "-c", {command!r}])
"""


def deploy(command: str, *, release: str = "r2", wait: int = 60) -> str:
    return DEPLOY.format(command=command, release=release, wait=wait)


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> LabHost:
    shell(
        lab_host,
        "mkdir -p /opt/shop/releases/r1 /opt/shop/releases/r2 /etc/shop; "
        "ln -s releases/r1 /opt/shop/current; "
        "echo SHOP_NOTE=noted >/etc/shop/env; install -d -o nobody /var/lib/shop",
    )
    return lab_host


def test_runs_as_the_user_with_the_environment_and_shows_what_it_said(prepared: LabHost) -> None:
    result = run(prepared, deploy('echo "$SHOP_NOTE by $(id -un) in $PWD"'), "-vvv").ok()
    assert result.changed == ["migrate"]
    assert "noted by nobody in /opt/shop/releases/r2" in result.output


def test_the_current_release_is_not_asked_again(prepared: LabHost) -> None:
    before = playbook.fingerprint(prepared)
    assert run(prepared, deploy("touch /var/lib/shop/again", release="r1")).ok().unchanged == ["migrate"]
    assert playbook.fingerprint(prepared) == before
    shell(prepared, "test ! -e /var/lib/shop/again")


def test_failure_shows_what_was_said(prepared: LabHost) -> None:
    result = run(prepared, deploy("echo the table is locked >&2; exit 7"))
    assert result.rc != 0
    assert "the table is locked" in result.output
    assert "status=7" in result.output
    assert "the migration failed; what it said is above" in result.output


def test_cut_off_run_goes_on_and_the_next_waits_for_it(prepared: LabHost, tmp_path: Path) -> None:
    slow = (
        "echo start >>/var/lib/shop/log; sleep 8; seq 2000; echo end >>/var/lib/shop/log"  # output: to nobody
    )
    first = playbook.start(prepared, deploy(slow), directory=tmp_path)
    try:
        shell(
            prepared, "for try in $(seq 200); do test -e /var/lib/shop/log && exit 0; sleep 0.1; done; exit 1"
        )
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert shell(prepared, f"systemctl is-active {UNIT}") == "active"
    impatient = run(prepared, deploy("echo second >>/var/lib/shop/log", wait=1))
    assert impatient.rc != 0
    assert "the migration of an interrupted run still runs after 1 s; nothing was started" in impatient.output
    assert "journalctl -f -t hostwright-migrate-shop" in impatient.output
    run(prepared, deploy("echo second >>/var/lib/shop/log")).ok()
    assert shell(prepared, "cat /var/lib/shop/log").split() == ["start", "end", "second"]
