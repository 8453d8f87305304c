"""Settings of health and monitoring: what is taken, what is refused, and what follows."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from operations import ufw
from operations.health import OWNED
from operations.health import files as health_files
from operations.health import units as health_units
from operations.monitored import Monitoring
from operations.monitoring import files as monitoring_files
from operations.monitoring import units as monitoring_units
from settings import Settings, SettingsError, load
from tasks import health, monitoring
from tasks.machine import BASE_PACKAGES
from tasks.trial import touched

ASKED = {"server": False, "listen": "10.0.0.2", "asked_by": ["10.0.0.9"]}


def loaded(**given: Any) -> Settings:
    return load({"environment": "test", **given}, "here")


def test_neither_is_there_unless_declared() -> None:
    settings = loaded()
    assert (settings.health, settings.monitoring, health.declared(settings)) == (None, None, None)
    assert monitoring.packages_of(settings) == []
    assert monitoring.rows(settings) == []
    assert not [one for one in BASE_PACKAGES if "prometheus" in one]


def test_monitoring_stands_on_health() -> None:
    found = health.declared(loaded(monitoring={}))
    assert found is not None
    assert (found.every, found.restart_after) == (60, None)
    found = health.declared(loaded(monitoring={}, health={"every": 20, "restart_after": 3}))
    assert found is not None
    assert (found.every, found.restart_after) == (20, 3)


def test_the_database_lets_in_one_user_of_this_host() -> None:
    (row,) = monitoring.rows(loaded(monitoring={}))
    assert (row.type, row.database, row.role, row.method, row.address) == (
        "local", "postgres", "prometheus", "peer", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"health": {"every": 5}}, "health.every"),
        ({"health": {"restart_after": 1}}, "health.restart_after"),
        ({"health": {"restarts_an_hour": 1}}, "restarts_per_hour"),
        ({"monitoring": {"keep_size": "1T"}}, "write a number and MB or GB, such as '512MB'"),
        ({"monitoring": {"webhook": "https://example.com/T0KEN"}}, "is written in plain text"),
        ({"monitoring": {"webhook": {"source": "generated"}}}, "use 'environment' or 'age'"),
        (
            {"monitoring": {"server": False, "webhook": {"source": "environment", "variable": "URL"}}},
            "'webhook' and 'email' are Alertmanager's, and 'server' is off",
        ),
        (
            {"monitoring": {"email": {"to": "ops", "sender": "a@b.c", "server": "b.c"}}},
            "is not an e-mail address",
        ),
        ({"monitoring": {}, "postgresql": {"port": 9090}}, "9090"),
        ({"monitoring": {**ASKED, "asked_by": []}}, "'listen' is '10.0.0.2' and 'asked_by' is empty"),
        ({"monitoring": {**ASKED, "listen": None}}, "'asked_by' is 10.0.0.9 and 'listen' is not set"),
        ({"monitoring": {**ASKED, "asked_by": ["10.0.0.2"]}}, "'asked_by' names 10.0.0.2, this host's own"),
        ({"monitoring": {**ASKED, "asked_by": ["10.0.0.9", "10.0.0.9"]}}, "names 10.0.0.9 twice; remove one"),
        ({"monitoring": {**ASKED, "asked_by": ["fd00::9"]}}, "names fd00::9, which cannot reach 10.0.0.2"),
        ({"monitoring": {**ASKED, "asked_by": ["10.0.0.0/24"]}}, "'10.0.0.0/24': is no address; write one"),
        ({"monitoring": {**ASKED, "asked_by": ["web-1"]}}, "monitoring.asked_by.0: 'web-1': is no address"),
        (
            {"monitoring": ASKED, "firewall": {"enabled": False}},
            "monitoring.listen: 10.0.0.2 would be open to everybody in that network",
        ),
        (
            {"monitoring": ASKED, "firewall": {"allow": [{"port": 9187}]}},
            "firewall.allow: port 9187 is an exporter's, and monitoring.asked_by says who may ask it; remove",
        ),
        (
            {"monitoring": {"server": False, "targets": {"db-1": "10.0.0.3"}}},
            "'targets' are Prometheus', and 'server' is off; switch it on",
        ),
        (
            {"monitoring": {"targets": {"db-1": "10.0.0.3", "db-2": "10.0.0.3"}}},
            "targets.db-2: 10.0.0.3 is already the one of db-1",
        ),
        (
            {"monitoring": {**ASKED, "server": True, "targets": {"db-1": "10.0.0.2"}}},
            "targets.db-1: 10.0.0.2 is this host's own 'listen'; remove it",
        ),
        ({"monitoring": {"targets": {'db"1': "10.0.0.3"}}}, "is no name of a host; use letters, digits"),
        ({"monitoring": {"targets": {"db-1": "db-1"}}}, "monitoring.targets.db-1: 'db-1': is no address"),
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        loaded(**given)


@pytest.mark.parametrize(
    "address",
    [
        "203.0.114.9", "8.8.8.8", "127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255",
        "100.64.0.1", "::1", "::", "fe80::1", "fd00::1%eth0", "2600::1", "::ffff:10.0.0.2",
    ],
)  # fmt: skip
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    for given in (
        {**ASKED, "listen": address},
        {**ASKED, "asked_by": [address]},
        {"targets": {"a": address}},
    ):
        with pytest.raises(
            SettingsError, match=f"'{re.escape(address)}': is no address of a private network"
        ):
            loaded(monitoring=given)


@pytest.mark.parametrize("address", ["10.0.0.2", "172.16.0.2", "192.168.1.2", "198.18.4.2", "fd00::2"])
def test_one_of_a_private_network_is_taken(address: str) -> None:
    asking = "fd00::9" if ":" in address else "10.0.0.9"
    mine = loaded(
        monitoring={"listen": address, "asked_by": [asking], "targets": {"a": "10.0.0.7"}}
    ).monitoring
    assert mine is not None
    assert (mine.listen, mine.asked_by, mine.targets) == (address, (asking,), {"a": "10.0.0.7"})


def test_an_address_is_written_as_ufw_writes_it() -> None:
    mine = loaded(monitoring={"listen": "FD00:0::2", "asked_by": ["fd00::0009"]}).monitoring
    assert mine is not None
    assert (mine.listen, mine.asked_by) == ("fd00::2", ("fd00::9",))


def test_exactly_who_may_ask_is_let_in_to_the_exporters() -> None:
    mine = {**ASKED, "asked_by": ["10.0.0.9", "10.0.0.8"]}
    lines = [ufw.rule_line(one) for one in monitoring.ways_in(loaded(monitoring=mine))]
    assert lines == [
        f"allow from {asking} to 10.0.0.2 port {port} proto tcp comment 'monitoring'"
        for asking in ("10.0.0.9", "10.0.0.8")
        for port in (9100, 9187)
    ]
    assert monitoring.ways_in(loaded(monitoring={})) == monitoring.ways_in(loaded()) == []


def test_a_secret_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monitoring={"webhook": {"source": "environment", "variable": "ALERTS_URL"}})
    monkeypatch.delenv("ALERTS_URL", raising=False)
    with pytest.raises(
        SettingsError, match=r"monitoring\.webhook: environment variable ALERTS_URL is not set"
    ):
        monitoring.given(settings, Path())


def test_an_undo_knows_every_file_and_unit() -> None:
    settings = loaded(monitoring={}, health={})
    found = touched(settings, "root")
    known = set(found.owned[""])
    files = [*health_files([]), *monitoring_files(Monitoring(host="web-1"))]
    assert [one.path for one in files if not any(fnmatch(one.path, name) for name in known)] == []
    units = [*health_units(), *monitoring_units(Monitoring(host="web-1"))]
    assert {one.name for one in units} <= set(found.units)
    for one in units:
        target = "timers" if one.name.endswith(".timer") else "multi-user"
        assert f"/etc/systemd/system/{target}.target.wants/{one.name}" in known
        assert found.units[one.name].get("started") == one.record
    # What keeps the packages' own units off stays with the packages, which an undo does not remove.
    assert "/etc/systemd/system/prometheus.service" in found.kept[""]
    # Switched off it is the same list: what goes then has to come back, too.
    assert touched(loaded(), "root").owned[""] == found.owned[""]


def test_a_removal_of_health_knows_every_file() -> None:
    for one in health_files([]):
        assert any(fnmatch(one.path, pattern) for pattern in OWNED), one.path
