"""Groups of hosts: which apps run where, and what an inventory is refused for."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

import guard
import host_lists
from settings import load
from settings.errors import SettingsError
from settings.groups import apps_declared

GROUP_DATA = guard.PROJECT / "group_data"


def data(*files: str) -> dict[str, Any]:
    """Lay the files of group_data over each other, as pyinfra does."""
    found: dict[str, Any] = {}
    for name in files:
        read = runpy.run_path(str(GROUP_DATA / f"{name}.py"))
        found |= {key: read[key] for key in read.keys() & {*guard_keys(), "apps"}}
    return found


def guard_keys() -> list[str]:
    return [
        "environment",
        "overrides",
        "packages",
        "upgrade",
        "trial",
        "ssh",
        "swap",
        "firewall",
        "postgresql",
    ]


@pytest.mark.parametrize("environment", ["lab", "staging", "do"])
@pytest.mark.parametrize(
    ("group", "apps"),
    [
        ("all", ["rec_io"]),
        ("portfolio", ["portfolio_manager"]),
        ("both", ["rec_io", "portfolio_manager"]),
    ],
)
def test_each_group_runs_its_apps_in_each_environment(environment: str, group: str, apps: list[str]) -> None:
    declared = data("all", group, environment)
    settings = load(declared, "here", elsewhere=apps_declared(guard.PROJECT))
    assert [app.key for app in settings.all_apps()] == apps


def test_an_override_of_no_app_at_all_is_still_refused() -> None:
    declared = {**data("all", "portfolio", "lab"), "overrides": {"apps": {"rec_oi": {"keep_releases": 2}}}}
    with pytest.raises(SettingsError, match="there is no app of that name"):
        load(declared, "here", elsewhere=apps_declared(guard.PROJECT))


def test_group_without_data_is_refused() -> None:
    # Its hosts would get what is in all.py: another app.
    with pytest.raises(
        guard.GuardError, match=r"'portfoli' of host web-1 has no file group_data/portfoli\.py"
    ):
        guard.groups({"portfoli": ["web-1"]})
    with pytest.raises(guard.GuardError, match="'staging' of host web-1"):
        guard.groups({"staging": ["web-1"]})
    assert guard.groups({"portfolio": ["web-1"]}) == {"portfolio": ["web-1"]}


def test_groups_of_a_list(tmp_path: Path) -> None:
    inventory = tmp_path / "staging.py"
    inventory.with_suffix(".yaml").write_text(
        "- {name: a, groups: [portfolio]}\n- {name: b}\n- {name: c, groups: [portfolio, both]}\n"
    )
    assert host_lists.groups(str(inventory), {}) == {"portfolio": ["a", "c"], "both": ["c"]}
    assert [name for name, _ in host_lists.listed(str(inventory), {})] == ["a", "b", "c"]
    # The file is first; a variable has hosts alone.
    assert "b" in dict(host_lists.listed(str(inventory), {"HOSTWRIGHT_STAGING_HOSTS": "web-1"}))
    inventory.with_suffix(".yaml").unlink()
    assert host_lists.groups(str(inventory), {"HOSTWRIGHT_STAGING_HOSTS": "web-1"}) == {}


def test_a_group_that_is_no_name_is_refused(tmp_path: Path) -> None:
    inventory = tmp_path / "staging.py"
    inventory.with_suffix(".yaml").write_text("- {name: a, groups: [../x]}\n")
    with pytest.raises(PyinfraError, match="groups"):
        host_lists.groups(str(inventory), {})


def test_one_host_asks_and_all_others_are_asked(tmp_path: Path) -> None:
    """The inventory writes the whole of it into each host's own data: one alone is what all of them are."""
    inventory = tmp_path / "staging.py"
    (tmp_path / "staging.yaml").write_text(
        "".join(f"- {{name: {name}, private_address: 10.0.0.{at}}}\n" for at, name in enumerate("abc", 1))
    )
    hosts = host_lists.listed(str(inventory), {})
    webhook = {"source": "environment", "variable": "URL"}
    found = dict(host_lists.watched(hosts, by="b", server={"webhook": webhook}))
    assert {name: data["monitoring"] for name, data in found.items()} == {
        "a": {"server": False, "listen": "10.0.0.1", "asked_by": ["10.0.0.2"]},
        "b": {"server": True, "targets": {"a": "10.0.0.1", "c": "10.0.0.3"}, "webhook": webhook},
        "c": {"server": False, "listen": "10.0.0.3", "asked_by": ["10.0.0.2"]},
    }
    for data in found.values():
        assert load({"environment": "staging", **data}, "here").monitoring is not None
    ((_, alone),) = host_lists.watched(hosts[:1], by="a")
    assert alone["monitoring"] == {"server": True, "targets": {}}
    with pytest.raises(PyinfraError, match="there is no host 'd' to ask the others; there are: a, b, c"):
        host_lists.watched(hosts, by="d")
    del hosts[2][1]["private_address"]
    with pytest.raises(PyinfraError, match="no private_address is known of c; write it into"):
        host_lists.watched(hosts, by="b")


def test_a_private_address_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").write_text("- {name: a, private_address: 203.0.114.7}\n")
    with pytest.raises(PyinfraError, match=r"entry 1: private_address: .* of a private network"):
        host_lists.listed(str(tmp_path / "staging.py"), {})
