"""What operations find, and say, on a host where their tool is not installed: the same on every image."""

from __future__ import annotations

import pytest

from tests.lab.playbook import LabHost, run, shell

pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")

FACTS = """
from pyinfra import host
from facts import postgres
assert host.get_fact(postgres.Running) is None
assert host.get_fact(postgres.Role, role="app", password_file="/root/none") is None
assert host.get_fact(postgres.Database, database="app") is None
assert host.get_fact(postgres.Settings, file="90-x.conf", names=["work_mem"]) is None
assert host.get_fact(postgres.Hba) is None
"""


def test_facts_of_postgresql_are_none(lab_host: LabHost) -> None:
    run(lab_host, FACTS).ok()


@pytest.mark.parametrize("call", ["role('app')", "running()"])
def test_operations_of_postgresql_say_what_is_missing(lab_host: LabHost, call: str) -> None:
    result = run(lab_host, f"from operations import postgres\npostgres.{call}\n")
    assert result.rc != 0, result.output
    assert "there is no cluster on this host; install the package postgresql" in result.output


FIRST = """
from operations import packages, postgres
packages.masked(
    name="masked", unit="postgresql.service", used_by=["/etc/postgresql/*/*/postgresql.conf"]
)
packages.installed(name="installed", packages=["postgresql"], recommends=False)
postgres.starting(name="starting", settings={settings})
postgres.running(name="running")
postgres.settings(name="settings", settings={settings})
"""
LOG = "/var/log/postgresql/postgresql-*-main.log"


def test_a_new_server_starts_once_and_with_its_settings(lab_host: LabHost) -> None:
    # What the server refuses is said before it starts; it is not up with other settings either.
    refused = run(lab_host, FIRST.format(settings={"max_connections": "-1"}))
    assert refused.rc != 0
    assert "postgres refuses the new settings" in refused.output
    assert shell(lab_host, "pgrep -c -u postgres || true") == "0"
    # Corrected, and cut off where it was: the next run goes on from there.
    deploy = FIRST.format(settings={"max_connections": 33})
    assert "starting" in run(lab_host, deploy).ok().changed
    assert shell(lab_host, f"cat {LOG} | grep -c 'ready to accept connections'") == "1"
    ask = "cd / && runuser -u postgres -- psql -XAtqc"
    assert shell(lab_host, f"{ask} 'show max_connections'") == "33"
    for unit in ("postgresql.service", "postgresql@*.service"):
        assert shell(lab_host, f"systemctl show -P ActiveState '{unit}'") == "active"
    assert shell(lab_host, "systemctl is-enabled postgresql.service") == "enabled"
    assert run(lab_host, deploy).ok().changed == []
    # One that somebody stopped is not started by it.
    shell(lab_host, "systemctl stop postgresql")
    assert run(lab_host, deploy).ok().changed == ["running"]
    assert shell(lab_host, f"{ask} 'show max_connections'") == "33"
