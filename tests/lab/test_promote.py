"""
Staging proves, production receives: the whole path on two hosts, and what stops it.

The hosts have the packages of a deploy already, and nothing else of it; with --everything they are bare.
What a deploy makes of a bare host is in test_deploy.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from lab import lifecycle
from receipts import Receipt
from tests.lab import templates
from tests.lab.conftest import template_of
from tests.lab.playbook import PYINFRA, LabHost, fingerprint, shell
from tests.lab.project import copy

TEMPLATE, BARE_AS_WELL = "packages", True
ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
pytestmark = ON_ONE

SCREEN = 30
# All test hosts share one kernel, and with it whatever swap another test switches on just then.
OF_THE_MACHINE = "system.swap"
SMALL = 'overrides = {"swap": {"size": "64M"}, "postgresql": {"memory": "512M"}}\n'
SMALL_DO = (
    'overrides = {"swap": {"size": "64M"}, "postgresql": {"memory": "512M"}, '
    '"apps": {"rec_io": {"variables": {"REC_ACCOUNT_MODE": "prod"}}}}\n'
)
# Sound by every gate, and open to the world where nobody declared it.
LISTENS = """
import socket as _socket

_open = _socket.create_server(("0.0.0.0", 9999))
"""


@dataclass
class Pair:
    """A project whose staging and production are a lab host each."""

    project: Path
    home: Path
    staging: LabHost
    production: LabHost

    def environ(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "HOSTWRIGHT_"))
        }
        return {**kept, "HOME": str(self.home), "HOSTWRIGHT_CACHE": str(self.home / "cache")}

    def run(self, *command: str, typed: str = "") -> tuple[int, str]:
        done = subprocess.run(
            command, cwd=self.project, env=self.environ(), text=True, input=typed, capture_output=True,
            timeout=900, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def promote(self, *order: str, typed: str = "") -> tuple[int, str]:
        inventories = order or ("inventories/staging.py", "inventories/do.py")
        return self.run(sys.executable, "promote.py", *inventories, typed=typed)

    def deploy(self, environment: str, *flags: str) -> tuple[int, str]:
        return self.run(str(PYINFRA), "-y", *flags, f"inventories/{environment}.py", "deploy.py")

    def receipt(self) -> Path:
        return sorted((self.home / ".local/state/hostwright/receipts/staging").glob("*.json"))[-1]


def listed(host: LabHost) -> str:
    return yaml.safe_dump([{"name": host.name, "address": host.address, "key": str(host.key)}])


def as_it_was(host: LabHost) -> dict[str, str]:
    """Read all that a refused deploy must leave: files but those that services write, and every process."""
    seen = {
        path: fields
        for path, fields in fingerprint(host, "/etc", "/opt", "/usr/local", "/var/lib/hostwright").items()
        if not path.startswith("/opt/rec_io/shared/")
    }
    seen["units"] = shell(host, "systemctl show -p Id -p MainPID --type=service --state=running '*'")
    seen["services"] = shell(host, "pgrep -u trader -a | sort || :")
    return seen


@pytest.fixture(scope="module")
def pair(
    lab_host: LabHost, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Boot a second host, and name the two in inventories of their own."""
    name = f"{lab_host.name}-do"
    try:
        template = template_of(request)
        with templates.disk(template, lab_host.image) as saved:
            host = lifecycle.up(name, image=lab_host.image, disk=saved)
        production = LabHost(
            name=name, image=lab_host.image, address=host.address, key=host.key, known_hosts=host.known_hosts
        )
        if template is not None:  # what is still booting would be taken for a change
            templates.settled(production, template)
        directory = tmp_path_factory.mktemp("promote")
        project, home = copy(directory), directory / "home"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "known_hosts").write_text(
            "".join(one.known_hosts.read_text() for one in (lab_host, production))
        )
        for environment, one, small in (("staging", lab_host, SMALL), ("do", production, SMALL_DO)):
            (project / "inventories" / f"{environment}.yaml").write_text(listed(one))
            data = project / "group_data" / f"{environment}.py"
            kept = data.read_text().partition("overrides =")[0]
            data.write_text(kept + "\n" + small)
        yield Pair(project, home, lab_host, production)
    finally:
        lifecycle.down(name)


def test_nothing_is_deployed_that_was_not_proven(pair: Pair) -> None:
    before = as_it_was(pair.production)
    code, said = pair.deploy("do")
    assert code == 1
    assert "nothing was proven on staging yet" in said
    assert "pytest tests/acceptance --inventory inventories/staging.py" in said
    assert "Connecting to hosts" not in said
    assert as_it_was(pair.production) == before


def test_the_order_of_the_inventories(pair: Pair) -> None:
    code, said = pair.promote("inventories/do.py", "inventories/staging.py")
    assert code == 1
    assert "staging asks for no receipt" in said
    assert "first the inventory that proves, then the one that receives; no host was touched" in " ".join(
        said.split()
    )
    assert shell(pair.staging, "ls /opt") == ""


def test_from_fresh_hosts_to_green(pair: Pair) -> None:
    code, said = pair.promote(typed="yes\n")
    assert code == 0, said
    assert "Deploy this to do? Type yes:" in said
    assert said.count("passed") >= 6
    for host in (pair.staging, pair.production):
        running = shell(host, "supervisorctl -c /etc/rec_io/supervisord.conf status")
        assert running.count("RUNNING") == 12
    # What allowed it is in production's ledger, and the receipt itself is on staging.
    last = [
        json.loads(line)
        for line in shell(pair.production, "cat /var/log/hostwright/ledger.jsonl").splitlines()
    ]
    receipt = next(run["receipt"] for run in last if run["purpose"] == "deploy.py (do)")
    kept = json.loads(shell(pair.staging, f"cat /var/lib/hostwright/receipts/{receipt}.json"))
    assert kept["results"]
    assert set(kept["results"].values()) <= {"passed", "skipped"}
    assert (
        kept["hosts"][pair.staging.name]["apps"]["rec_io"]["digest"]
        == last[-1]["releases"]["rec_io"]["digest"]
    )
    assert "apps.rec_io.variables.REC_ACCOUNT_MODE" in kept["excluded"]


def test_again_it_changes_nothing(pair: Pair) -> None:
    before = as_it_was(pair.production)
    code, said = pair.deploy("do")
    assert code == 0, said
    assert as_it_was(pair.production) == before


# What production came by beside its playbook: another version of a package, and settings of its server's own.
PLANT = """
cp -a /var/lib/dpkg/status /root/status
sed -i '/^Package: htop$/,/^$/ s/^Version: .*/Version: 99-planted/' /var/lib/dpkg/status
runuser -u postgres -- psql -XqAt -d postgres -c "ALTER SYSTEM SET work_mem = '7MB'" \\
    -c "ALTER SYSTEM SET primary_conninfo = 'host=db password=planted-in-conninfo'" \\
    -c "SELECT pg_reload_conf()"
"""
UNPLANT = """
mv /root/status /var/lib/dpkg/status
runuser -u postgres -- psql -XqAt -d postgres -c "ALTER SYSTEM RESET work_mem" \\
    -c "ALTER SYSTEM RESET primary_conninfo" -c "SELECT pg_reload_conf()"
"""


def test_compare_shows_what_differs_and_no_secret(pair: Pair) -> None:
    compare = (sys.executable, "compare.py", "inventories/staging.py", "inventories/do.py", "--exit-code")
    secrets = [
        value
        for host in (pair.staging, pair.production)
        for value in shell(host, "for file in /etc/rec_io/secrets/*; do cat $file; echo; done").split()
    ]
    assert len(secrets) >= 6
    before = as_it_was(pair.production)
    shell(pair.production, PLANT)
    try:
        code, said = pair.run(*compare)
        as_json, told = pair.run(*compare, "--json")
    finally:
        shell(pair.production, UNPLANT)
    assert (code, as_json) == (2, 2), said
    found = {
        ".".join(row["path"]): row
        for kind in ("settings", "facts", "packages")
        for row in json.loads(told)[kind]
    }
    both = {
        path: tuple(
            row[side][host.name]["value"]
            for side, host in (("left", pair.staging), ("right", pair.production))
        )
        for path, row in found.items()
        if path not in ("packages.htop", OF_THE_MACHINE)
    }
    assert both.pop("postgresql.settings.primary_conninfo")[0] == ""
    assert both == {
        "requires_receipt_from": (None, "staging"),
        "apps.rec_io.variables.REC_ACCOUNT_MODE": ("demo", "prod"),
        "postgresql.settings.work_mem": ("4MB", "7MB"),
    }
    assert found["packages.htop"]["right"][pair.production.name]["value"] == "99-planted"
    for path in found:
        assert f"  {path}\n" in said
    for secret in (*secrets, "planted-in-conninfo"):
        assert secret not in said + told
    assert as_it_was(pair.production) == before


def test_a_colleague_takes_the_receipts_from_the_hosts(pair: Pair) -> None:
    """Lost here, all of them come back as they were signed; what is there already is left alone."""
    mine = pair.receipt()
    kept = {file.name: file.read_text() for file in mine.parent.glob("*.json")}
    before = mine.parent.with_name("lost")
    mine.parent.rename(before)
    fetch = (sys.executable, "-m", "receipts", "fetch", "inventories/staging.py")
    code, said = pair.run(*fetch)
    assert code == 0, said
    assert f"{len(kept)} new receipts of inventories/staging.py" in said
    assert {file.name: file.read_text() for file in mine.parent.glob("*.json")} == kept
    assert "0 new receipts" in pair.run(*fetch)[1]
    assert "green" in pair.run(sys.executable, "-m", "receipts", "list", "staging")[1]


@pytest.mark.parametrize("what", ["edited", "stale", "code", "playbook", "group", "settings", "key"])
def test_what_proves_nothing(pair: Pair, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is refused before the host is even connected to."""
    file, page = pair.receipt(), pair.project / "examples/rec_io/backend/static/app.css"
    knobs, mine = pair.project / "group_data/all.py", pair.project / "inventories/do.yaml"
    texts = {path: path.read_text() for path in (file, page, knobs, mine)}
    said_of = {
        "edited": "was changed after it was signed",
        "stale": "hours old",
        "code": "staging has not proven this code: rec_io is",
        "playbook": "this playbook is",
        "group": "staging has not proven this code: portfolio_manager is",
        "settings": "no host of staging has these settings",
        "key": "which is not trusted here",
    }
    try:
        if what == "edited":
            file.write_text(texts[file].replace('"passed"', '"skipped"', 1))
        elif what in ("stale", "key"):
            resign(pair, file, monkeypatch, stale=what == "stale")
        elif what == "code":
            page.write_text(texts[page] + "/* changed */\n")
        elif what == "playbook":
            knobs.write_text(texts[knobs].replace('"htop"', '"tree"'))
        elif what == "group":
            mine.write_text(yaml.safe_dump([{**yaml.safe_load(texts[mine])[0], "groups": ["portfolio"]}]))
        # Said of this run alone, settings are others with the same playbook.
        flags = ("--data", "connector=plain") if what == "settings" else ()
        code, said = pair.deploy("do", *flags)
    finally:
        for path, text in texts.items():
            path.write_text(text)
    said = " ".join(said.split())
    assert code == 1
    assert said_of[what] in said
    assert "Connecting to hosts" not in said
    assert "--data without_receipt=REASON" in said


def resign(pair: Pair, file: Path, monkeypatch: pytest.MonkeyPatch, *, stale: bool) -> None:
    """Have the operator, or a stranger, sign a receipt that differs."""
    key = pair.home / (".config/hostwright/receipt-key" if stale else "stranger")
    monkeypatch.setenv("HOSTWRIGHT_RECEIPT_KEY", str(key))
    receipt = Receipt.read(file.read_text(), "the receipt")
    made = receipt.made - (100 * 3600 if stale else 0)
    file.write_text(replace(receipt, made=made).signed().text())


def test_an_emergency_needs_a_reason(pair: Pair) -> None:
    page = pair.project / "examples/rec_io/backend/static/app.css"
    text = page.read_text()
    try:
        page.write_text(text + "/* at night */\n")
        code, said = pair.deploy("do", "--data", "without_receipt=why")
        assert code == 1
        assert "10 characters or more" in said
        code, said = pair.deploy("do", "--data", "without_receipt=staging burnt down at 03:00")
        assert code == 0, said
    finally:
        page.write_text(text)
    last = json.loads(shell(pair.production, "tail -n 1 /var/log/hostwright/ledger.jsonl"))
    assert last["without_receipt"] == "staging burnt down at 03:00"


def test_a_release_that_fails_acceptance_stays_on_staging(pair: Pair) -> None:
    """Last: it leaves staging red."""
    service = pair.project / "examples/rec_io/backend/services/main_app.py"
    service.write_text(service.read_text() + LISTENS)
    before = as_it_was(pair.production)
    code, said = pair.promote(typed="yes\n")
    assert code == 1
    assert "test_nothing_undeclared_listens" in said
    assert "acceptance of staging did not pass; do was not touched" in said
    assert len(said.splitlines()) <= SCREEN, said
    assert as_it_was(pair.production) == before
    # By hand it is no other.
    code, said = pair.deploy("do")
    assert code == 1
    assert "staging did not pass at" in said
    assert "test_nothing_undeclared_listens" in said
    assert as_it_was(pair.production) == before
