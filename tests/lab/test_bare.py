"""What operations find, and say, on a host where their tool is not installed: the same on every image."""

from __future__ import annotations

import pytest

from tests.lab.playbook import LabHost, run

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
