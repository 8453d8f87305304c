"""Settings of health and monitoring: what is taken, what is refused, and what follows."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from operations.health import OWNED
from operations.health import files as health_files
from operations.health import units as health_units
from operations.monitoring import Monitoring
from operations.monitoring import files as monitoring_files
from operations.monitoring import units as monitoring_units
from settings import Settings, SettingsError, load
from tasks import health, monitoring
from tasks.machine import BASE_PACKAGES
from tasks.trial import touched


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
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        loaded(**given)


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
