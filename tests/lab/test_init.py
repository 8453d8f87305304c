"""A configuration file that an app has lost is made anew by its own step alone, and by no deploy."""

from __future__ import annotations

import pytest

from tests.lab import warm
from tests.lab.playbook import PROJECT, LabHost, shell
from tests.lab.project import Deployed, state

TEMPLATE = "deployed"
LOCAL = "/etc/rec_io/config.local.json"
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def run(host: LabHost, verb: str) -> tuple[int, str]:
    deployed = Deployed(host, "root", PROJECT)
    command = deployed.command("-y", verb=verb)[1:]
    code, out, error = warm.run(command, cwd=PROJECT, env=deployed.environ(), timeout=600)
    return code, " ".join((out + error).split())


def test_what_is_there_stays(lab_host: LabHost) -> None:
    shell(lab_host, f"""echo '{{"account_mode": "demo"}}' > {LOCAL}""")
    before = state(lab_host)
    code, said = run(lab_host, "init.py")
    assert code == 0, said
    assert state(lab_host) == before


def test_what_is_gone_is_told_and_made_once(lab_host: LabHost) -> None:
    shell(lab_host, f"rm {LOCAL}")
    before = state(lab_host)
    code, said = run(lab_host, "deploy.py")
    assert code == 1
    assert f"{LOCAL} is gone, or new in apps.rec_io.config_files" in said
    assert "init.py" in said
    assert state(lab_host) == before
    code, said = run(lab_host, "init.py")
    assert code == 0, said
    assert shell(lab_host, f"stat -c '%a %U %G' {LOCAL}; cat {LOCAL}") == "640 root trader\n{}"
    after = state(lab_host)
    assert after["supervised"] == before["supervised"]
    code, said = run(lab_host, "deploy.py")
    assert code == 0, said
    assert after.pop(LOCAL) == state(lab_host).pop(LOCAL)
