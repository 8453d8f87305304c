"""
The guard of configuration files on a real host: who changed what is known, and a run of deploy.py is nobody.

Each kind of change is tried by tests/unit/test_config_guard.py; here are its unit, service users, and runs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lab import warm
from tests.lab.playbook import PROJECT, LabHost, shell
from tests.lab.project import Deployed, copy, state
from tests.lab.test_acceptance_damage import accept

TEMPLATE = "deployed"
LOCAL, ENV = "/etc/rec_io/config.local.json", "/etc/rec_io/env"
UNIT = "hostwright-config-guard"
PID = f"systemctl show -p MainPID --value {UNIT}"
OFF = """
config_guard = False
"""
# What no deploy can do, after the environment file was written with another value.
BAD = """
overrides = {
    **overrides,
    "apps": {
        "rec_io": {
            "variables": {"REC_ACCOUNT_MODE": "prod"},
            "database": {"extensions": ["there_is_none"]},
        },
    },
}
"""
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def changes(host: LabHost) -> tuple[int, dict[str, Any]]:
    """Return the exit code of config_changes.py, and what it says of the host."""
    run = Deployed(host, "root", PROJECT)
    command = run.command("--json", verb="config_changes.py")[1:]
    rc, stdout, stderr = warm.run(command, cwd=PROJECT, env=run.environ(), timeout=600)
    assert stdout, stderr
    return rc, json.loads(stdout)["hosts"][host.name]


def told(host: LabHost) -> str:
    run = Deployed(host, "root", PROJECT)
    command = run.command(verb="config_changes.py")[1:]
    return warm.run(command, cwd=PROJECT, env=run.environ(), timeout=600)[1]


def open_changes(host: LabHost) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = changes(host)[1]["changes"]
    return found


def test_a_deployed_host_is_watched_and_a_second_run_changes_nothing(lab_host: LabHost) -> None:
    """It was booted from a saved disk: what a boot does is no change either."""
    rc, found = changes(lab_host)
    assert (rc, found["runs"], found["problem"]) == (0, True, None), found
    before = state(lab_host), shell(lab_host, f"{PID}; ls /var/log/hostwright")
    assert Deployed(lab_host, "root", PROJECT).changed() == []
    after = state(lab_host), shell(lab_host, f"{PID}; ls /var/log/hostwright")
    assert before == after
    used = shell(lab_host, f"sed -n 's/^VmRSS: *//p' /proc/$({PID})/status")
    assert int(used.split()[0]) < 15 << 10, used
    assert shell(lab_host, "stat -c %a /var/lib/hostwright/config-guard/manifest.json") == "600"


def test_a_service_user_that_writes_is_named_with_its_unit(lab_host: LabHost) -> None:
    shell(lab_host, f"chmod 0666 {LOCAL}")
    shell(
        lab_host,
        "systemd-run --quiet --wait --unit=stranger -p User=trader sh -c"
        f""" 'echo "{{\\"theirs\\": 1}}" > {LOCAL}; sleep 0.2'""",
    )
    rc, found = changes(lab_host)
    assert rc == 2
    (one,) = [one for one in found["changes"] if one["did"] == ["written"]]
    assert (one["who"]["user"], one["who"]["unit"], one["who"]["name"]) == (
        "trader",
        "stranger.service",
        "sh",
    )
    assert one["difference"] == ["-{}", '+{"theirs": 1}']
    assert found["differs"][LOCAL]["changed"] == ["mode 0640 → 0666", "content"]


def test_acceptance_says_who_when_and_what(lab_host: LabHost, tmp_path: Path) -> None:
    verdict = accept(lab_host, tmp_path, "-k", "test_config")
    wanted = {
        "test_configuration_is_as_accepted[rec_io]",
        "test_configuration_was_changed_by_runs_alone[rec_io]",
    }
    assert wanted <= verdict.failed, verdict.output
    assert re.search(r"20\d\d-\d\d-\d\d [\d:]+ UTC by sh \(PID \d+, \S*dash\), user trader", verdict.output)
    assert '+{"theirs": 1}' in verdict.output
    assert "unit stranger.service" in verdict.output


def test_what_happened_while_it_was_killed_is_found(lab_host: LabHost) -> None:
    """Of a file with secrets it is told which of them, and no value of any."""
    before = len(open_changes(lab_host))
    secret = shell(lab_host, f"sed -n 's/^REC_DB_PASS=//p' {ENV}")
    shell(lab_host, f"kill -KILL $({PID}); sed -i 's/^REC_DB_PASS=.*/REC_DB_PASS=wr0ng-one/' {ENV}")
    shell(lab_host, f"until systemctl is-active --quiet {UNIT}; do sleep 0.2; done; sleep 1")
    found = open_changes(lab_host)[before:]
    (one,) = found
    assert (one["path"], one["who"], one["difference"]) == (ENV, None, ["REC_DB_PASS: another value"])
    assert one["between"][0] < one["at"] < one["between"][1]
    said = told(lab_host) + shell(lab_host, "cat /var/log/hostwright/config-changes.jsonl")
    said += shell(lab_host, f"cat /var/lib/hostwright/config-guard/manifest.json; journalctl -u {UNIT}")
    assert "while the guard was not running" in said
    # Not `in`: an assertion would show the secret that it looked for.
    assert said.count(secret) + said.count("wr0ng-one") == 0


def test_a_deploy_puts_back_what_is_its_own_and_accepts_the_rest(lab_host: LabHost) -> None:
    run = Deployed(lab_host, "root", PROJECT)
    run.run("-y")
    assert f"accepted as it is now: {LOCAL}" in run.output
    rc, found = changes(lab_host)
    assert (rc, found["changes"], found["differs"]) == (0, [], {})
    (mine,) = [one for one in found["all"][-5:] if one["path"] == ENV and "run" in one]
    assert mine["difference"] == []
    assert run.changed() == []


def test_what_is_undone_is_no_change_either(lab_host: LabHost, tmp_path: Path) -> None:
    """The environment file was written by the run, and put back by the host."""
    project = copy(tmp_path)
    with (project / "group_data" / "lab.py").open("a") as file:
        file.write(BAD)
    run = Deployed(lab_host, "root", project)
    rc, stdout, stderr = warm.run(run.command("-y")[1:], cwd=project, env=run.environ(), timeout=300)
    assert rc != 0
    assert f"put back {ENV}" in stdout + stderr
    rc, found = changes(lab_host)
    assert (rc, found["changes"], found["differs"]) == (0, [], {}), found
    assert [one["did"] for one in found["all"] if one["path"] == ENV and "run" in one][-2:]
    assert Deployed(lab_host, "root", PROJECT).changed() == []


def test_it_goes_tidily_and_comes_again(lab_host: LabHost, tmp_path: Path) -> None:
    project = copy(tmp_path)
    with (project / "group_data" / "lab.py").open("a") as file:
        file.write(OFF)
    off = Deployed(lab_host, "root", project)
    assert "Configuration guard | Watch no configuration" in off.changed()
    left = shell(
        lab_host,
        "find /etc /usr/local /var/lib/hostwright /run -path '*/snapshots/*' -prune"
        " -o -name '*config-guard*' -print",
    )
    assert left == ""
    assert shell(lab_host, f"systemctl show -p LoadState --value {UNIT}") == "not-found"
    assert off.changed() == []
    Deployed(lab_host, "root", PROJECT).run("-y")
    assert changes(lab_host)[0] == 0
