"""One Prometheus and two hosts: it asks the other by its private address, and nobody else gets in there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import lifecycle
from operations.monitoring import EXPORTERS, JOBS
from tests.lab import templates, warm
from tests.lab.playbook import PROJECT, LabHost, eventually, fingerprint, shell
from tests.lab.project import copy

TEMPLATE = "deployed"
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
PORTS = sorted(JOBS[job][1] for job in EXPORTERS)
QUICK = {"every": 5, "minute": 2}
HEALTH = 'overrides = {**overrides, "health": {"every": 10}}\n'
# As an inventory says it of each host: its own data.
INVENTORY = """
for _name, _data in hosts:
    _data["monitoring"] = {monitoring!r}[_name]
"""
ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


@dataclass(frozen=True)
class Pair:
    """
    Two hosts of one inventory.

    + server: where Prometheus runs
    + asked: the other one
    """

    project: Path
    server: LabHost
    asked: LabHost

    def declare(self, of_asked: dict[str, Any] | None, **of_server: Any) -> None:
        """Say what monitors each host, as the inventory's own data."""
        data = {self.server.name: {"server": True, **QUICK, **of_server}, self.asked.name: of_asked}
        inventory = (PROJECT / "inventories/lab.py").read_text()
        (self.project / "inventories/lab.py").write_text(inventory + INVENTORY.format(monitoring=data))

    def run(self, *flags: str) -> tuple[int, str, str]:
        environ = {
            **os.environ,
            "HOSTWRIGHT_LAB_HOSTS": f"{self.server.name},{self.asked.name}",
            "HOSTWRIGHT_LAB_USER": "root",
            "HOSTWRIGHT_LAB_STATE": os.environ.get("HOSTWRIGHT_LAB_STATE", str(PROJECT / ".lab")),
        }
        order = ["-y", *flags, "inventories/lab.py", "deploy.py"]
        return warm.run(order, cwd=self.project, env=environ, timeout=600)

    def deploy(self, *flags: str) -> str:
        rc, stdout, stderr = self.run(*flags)
        assert rc == 0, (stdout + stderr)[-6000:]
        return stdout

    def asked_for(self, query: str) -> dict[tuple[str, str], float]:
        """Ask the server's Prometheus; the values by host and job."""
        url = f"http://127.0.0.1:9090/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        found = json.loads(shell(self.server, f"python3 - '{url}'", stdin=ASK))["data"]["result"]
        return {
            (one["metric"]["host"], one["metric"].get("job", "")): float(one["value"][1]) for one in found
        }

    def firing(self) -> set[tuple[str, str]]:
        """Return which exporters Prometheus tells to be down, by host and job."""
        return set(self.asked_for('ALERTS{alertname="ExporterDown",alertstate="firing"}'))


def listens(host: LabHost) -> list[str]:
    return sorted(shell(host, "ss -Htlnp | grep prometheus | awk '{print $4}'").split())


def rules(host: LabHost) -> list[str]:
    return [one for one in shell(host, "ufw show added").splitlines() if "monitoring" in one]


def settled(host: LabHost) -> dict[str, str]:
    found = fingerprint(host, "/etc", "/usr/local")
    found["units"] = shell(host, "systemctl show -p Id,MainPID --type=service --state=running 'hostwright-*'")
    return found


@pytest.fixture(scope="module")
def pair(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    name = f"{lab_host.name[:28]}-db"
    try:
        with templates.disk(TEMPLATE, lab_host.image) as saved:
            host = lifecycle.up(name, image=lab_host.image, disk=saved)
        other = LabHost(name, lab_host.image, host.address, host.key, host.known_hosts)
        templates.settled(other, TEMPLATE)
        project = copy(tmp_path_factory.mktemp("many"))
        lab_data = project / "group_data/lab.py"
        lab_data.write_text(lab_data.read_text() + HEALTH)
        yield Pair(project, lab_host, other)
    finally:
        lifecycle.down(name)


def test_what_cannot_go_well_is_told_before_anything_is_touched(pair: Pair) -> None:
    server, asked = pair.server, pair.asked
    pair.declare(
        {"server": False, "listen": "10.255.255.2", "asked_by": [server.address]},
        targets={asked.name: server.address},
    )
    before = [settled(server), settled(asked)]
    rc, stdout, stderr = pair.run()
    said = " ".join((stdout + stderr).split())
    assert rc == 1
    assert f"monitoring.listen is 10.255.255.2, and this host has {asked.address}; write one of those" in said
    assert f"monitoring.targets.{asked.name} is {server.address}, which is this host itself" in said
    pair.declare(None, targets={server.name: asked.address})
    rc, stdout, stderr = pair.run()
    assert rc == 1
    assert (
        f"monitoring.targets.{server.name}: is this host, which it asks anyway; remove it" in stdout + stderr
    )
    assert [settled(server), settled(asked)] == before


def test_each_is_asked_under_its_own_name(pair: Pair) -> None:
    server, asked = pair.server, pair.asked
    pair.declare(
        {"server": False, "listen": asked.address, "asked_by": [server.address]},
        targets={asked.name: asked.address},
    )
    pair.deploy()
    every = {(asked.name, job) for job in EXPORTERS} | {(server.name, job) for job in JOBS}
    # Each job's first look is at a time of its own.
    eventually(lambda: pair.asked_for("up") == dict.fromkeys(every, 1), seconds=120)
    eventually(lambda: len(pair.asked_for("hostwright_gates_passed == 1")) == 2, seconds=120)
    started = pair.asked_for("hostwright_release_info")
    assert set(started) == {(server.name, "node"), (asked.name, "node")}


def test_again_nothing_changes(pair: Pair) -> None:
    before = [settled(pair.server), settled(pair.asked)]
    results = json.loads(pair.deploy("--json"))["results"]
    assert [one["name"] for one in results["operations"] if one["success"]] == []
    assert [settled(pair.server), settled(pair.asked)] == before


def test_who_asks_gets_in_and_nobody_else(pair: Pair) -> None:
    server, asked = pair.server, pair.asked
    assert listens(asked) == sorted(f"{at}:{port}" for at in ("127.0.0.1", asked.address) for port in PORTS)
    assert {one.partition(":")[0] for one in listens(server)} == {"127.0.0.1"}
    assert rules(server) == []
    assert rules(asked) == [
        f"ufw allow from {server.address} to {asked.address} port {port} proto tcp comment 'monitoring'"
        for port in PORTS
    ]
    for port in PORTS:
        assert "# HELP" in shell(server, f"python3 - http://{asked.address}:{port}/metrics", stdin=ASK)
        # This machine is the gateway of both, and none of the addresses that may ask.
        with pytest.raises(TimeoutError):
            socket.create_connection((asked.address, port), timeout=1)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/acceptance", "--inventory",
         "inventories/lab.py", "-k", "test_firewall_rules or test_nothing_undeclared or test_monitoring"],
        cwd=pair.project, capture_output=True, text=True, timeout=300,
        env={**os.environ, "HOSTWRIGHT_LAB_HOSTS": f"{server.name},{asked.name}",
             "HOSTWRIGHT_LAB_STATE": os.environ.get("HOSTWRIGHT_LAB_STATE", str(PROJECT / ".lab"))},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "10 passed" in done.stdout


def test_an_exporter_that_stops_is_told_of_by_the_name_of_its_host(pair: Pair) -> None:
    shell(pair.asked, "systemctl stop hostwright-node")
    eventually(lambda: pair.firing() == {(pair.asked.name, "node")}, seconds=120)
    shell(pair.asked, "systemctl start hostwright-node")
    eventually(lambda: pair.firing() == set(), seconds=120)


def test_where_it_is_no_longer_asked_nobody_gets_in(pair: Pair) -> None:
    """What is declared for one host is all that its deploy needs; the one that asks tells what it misses."""
    pair.declare({"server": False}, targets={pair.asked.name: pair.asked.address})
    pair.deploy("--limit", pair.asked.name)
    assert rules(pair.asked) == []
    assert listens(pair.asked) == [f"127.0.0.1:{port}" for port in PORTS]
    with pytest.raises(AssertionError):
        shell(pair.server, f"python3 - http://{pair.asked.address}:{PORTS[0]}/metrics", stdin=ASK)
    eventually(lambda: pair.firing() == {(pair.asked.name, job) for job in EXPORTERS}, seconds=120)
