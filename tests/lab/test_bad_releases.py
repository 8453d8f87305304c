"""
Releases that must not stay: each is undone by itself, with exit code 1 and words for a tired person.

One host, deployed once; each case is a changed copy of the project, deployed as a user would.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.playbook import LabHost, fingerprint, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "deployed"
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True)

APP = "examples/rec_io"
SERVICES = f"{APP}/backend/services"
CRASH = "import os, threading\nthreading.Timer(4.5, lambda: os._exit(3)).start()\n"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
PAGE = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:3000/\").read())'"
BACK = "the host is as it was before this run"


def edit(project: Path, path: str, old: str, new: str) -> None:
    file = project / path
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def override(project: Path, text: str) -> None:
    with (project / "group_data/lab.py").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def crashes(project: Path) -> None:
    prepend(project, f"{SERVICES}/main_app.py", 'raise SystemExit("no fuel")\n')


def crashes_later(project: Path) -> None:
    # Long enough for supervisor to call it RUNNING, too short for the gates.
    prepend(project, f"{SERVICES}/trade_manager.py", CRASH)


def prepend(project: Path, path: str, text: str) -> None:
    """Put lines below the imports from __future__, which must stay first."""
    future = "from __future__ import annotations\n"
    edit(project, path, future, future + text)


def unhealthy(project: Path) -> None:
    edit(project, f"{APP}/backend/web.py", "status, content = health(context)", "status, content = 500, {}")


def migration_fails(project: Path) -> None:
    (project / APP / "migrations/005_wrong.sql").write_text("CREATE TABLE wrong (a int);\nSELECT 1/0;\n")


def requirements_do_not_install(project: Path) -> None:
    with (project / APP / "requirements.txt").open("a") as file:
        file.write("no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64 + "\n")


def configuration_does_not_parse(project: Path) -> None:
    override(project, 'overrides["postgresql"] = {"settings": {"work_mem": "plenty"}}')


def locks_ssh_out(project: Path) -> None:
    override(project, 'overrides["firewall"] = {"ssh_from": ["203.0.113.0/24"]}')


def does_not_fit(project: Path) -> None:
    # Easily sent, and larger than what is left.
    (project / APP / "ballast.bin").write_bytes(bytes(120 << 20))


class Case(NamedTuple):
    change: Callable[[Path], None]
    words: tuple[str, ...]


CASES = {
    "crashes": Case(crashes, ("main_app", "no fuel")),
    "crashes_later": Case(crashes_later, ("trade_manager", "expected")),
    "unhealthy": Case(unhealthy, ("/health", "500")),
    "migration": Case(migration_fails, ("005_wrong", "division by zero")),
    "requirements": Case(requirements_do_not_install, ("no-such-package-of-ours",)),
    "configuration": Case(configuration_does_not_parse, ("work_mem", "plenty")),
    "firewall": Case(locks_ssh_out, ("a new login failed",)),
    "disk": Case(does_not_fit, ("MB free, and this takes 1", "make room")),
}


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A host with a release that works, and a project that tries the next ones for a short time only."""
    project = copy(tmp_path_factory.mktemp("clone"))
    override(project, 'overrides["trial"] = {"seconds": 20}')
    override(project, 'overrides["apps"] = {"rec_io": {"gate_seconds": 30}}')
    return Deployed(lab_host, "root", project)


def seen(host: LabHost) -> dict[str, str]:
    """Read what an undone release must have left as it was: files but for times of directories."""
    files = {
        path: state
        for path, state in fingerprint(host, "/etc", "/usr/local").items()
        if not state.startswith("d ") and "hostwright-undo" not in path
    }
    programs = shell(host, f"{STATUS} | awk '{{print $1, $2}}'")
    tables = shell(host, f'runuser -u postgres -- psql -XAtq rec_io_db -c "{TABLES}"')
    return {
        **files,
        "current": shell(host, "readlink /opt/rec_io/current"),
        "programs": programs,
        "tables": tables,
        "firewall": shell(host, "ufw status"),
        "page": shell(host, PAGE),
        "left": ssh(host, "ls -d /var/lib/hostwright/trial* /run/hostwright/lock").stdout,
    }


@pytest.mark.parametrize("case", CASES)
def test_it_is_undone_by_itself(deployed: Deployed, case: str, tmp_path: Path) -> None:
    change, words = CASES[case]
    before = seen(deployed.host)
    assert before["left"] == ""
    bad = tmp_path / "project"
    shutil.copytree(deployed.project, bad)
    change(bad)
    if case == "disk":
        shell(
            deployed.host, "fallocate -l $(($(df -B1 --output=avail / | tail -1) - 50000000)) /var/tmp/full"
        )
    try:
        result = Deployed(deployed.host, "root", bad)
        # A full disk is found before anything is touched; this is about one that fills up later.
        process = result.start("-y", *(("--data", "preflight=warn") if case == "disk" else ()))
        stdout, stderr = process.communicate(timeout=300)
        output = stdout + stderr
    finally:
        ssh(deployed.host, "rm -f /var/tmp/full")
    assert process.returncode == 1, output[-3000:]
    for word in words:
        assert word in output, output[-5000:]
    assert BACK in output, output[-5000:]
    assert seen(deployed.host) == before


def test_what_works_is_deployed_afterwards(deployed: Deployed) -> None:
    override(deployed.project, 'overrides["apps"] = {"rec_io": {"logs": {"keep": 9}}}')
    deployed.run("-y")
    assert "rotate 9" in shell(deployed.host, "cat /etc/logrotate.d/rec_io")
    outcomes = shell(
        deployed.host,
        "python3 -c 'import json; "
        'print(*[json.loads(line)["outcome"] for line in open("/var/log/hostwright/ledger.jsonl")])\'',
    ).split()
    assert outcomes[0] == outcomes[-1] == "confirmed"
    assert outcomes[1:-1] == ["undone"] * len(CASES)
