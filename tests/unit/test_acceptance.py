"""The acceptance suite where it cannot prove anything, and the values that it compares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from declared import PROJECT, InventoryError, read
from settings.errors import SettingsError
from settings.postgresql import SettingValue
from tests.acceptance.values import same
from tests.acceptance.view import listener

SUITE_SECONDS = 120


# Nothing listens on the discard port of this machine.
CLOSED = "hosts = [('nowhere', {'ssh_hostname': '127.0.0.1', 'ssh_port': 9})]\n"


def inventory(directory: Path, stem: str, text: str) -> str:
    """Write an inventory file."""
    path = directory / f"{stem}.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def suite(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the acceptance suite, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/acceptance", *words],
        cwd=PROJECT, text=True, capture_output=True, timeout=SUITE_SECONDS, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip


def test_suite_needs_an_inventory() -> None:
    """Without an inventory the suite says what to type, and is not green."""
    done = suite()
    assert (done.returncode, "needs an inventory" in done.stderr) == (4, True)


def test_unreachable_host_fails(tmp_path: Path) -> None:
    """Every test of a host that does not answer fails, none is skipped, and the reason is there."""
    done = suite("--inventory", inventory(tmp_path, "staging", CLOSED))
    assert done.returncode == 1
    assert "nowhere (127.0.0.1) cannot be reached" in done.stdout
    assert not {"passed", "skipped"} & set(done.stdout.splitlines()[-1].split())


def test_inventory_that_is_not_there() -> None:
    """The message names what there is."""
    with pytest.raises(InventoryError, match=r"does not exist; there are: .*inventories/staging\.py"):
        read("inventories/stagin.py")


def test_inventory_without_hosts(tmp_path: Path) -> None:
    """An inventory without hosts proves nothing."""
    with pytest.raises(InventoryError, match="has no hosts"):
        read(inventory(tmp_path, "staging", "hosts = []\n"))


def test_limit_that_names_no_host(tmp_path: Path) -> None:
    """The message names the hosts that there are."""
    with pytest.raises(InventoryError, match="no host of that name; it has: nowhere"):
        read(inventory(tmp_path, "staging", CLOSED), limit="other")


def test_inventory_without_group_data(tmp_path: Path) -> None:
    """A host without an environment is an error."""
    with pytest.raises(SettingsError, match="environment: is missing"):
        read(inventory(tmp_path, "stage", CLOSED))


def test_listeners_are_read() -> None:
    """Addresses of every form that ss prints."""
    who = 'users:(("python",pid=7,fd=3))'
    assert listener(f"tcp LISTEN 0 128 0.0.0.0:3000 0.0.0.0:* {who}") == ("tcp", "0.0.0.0", 3000, who)
    assert listener("udp UNCONN 0 0 198.18.0.2%host0:68 0.0.0.0:*") == ("udp", "198.18.0.2", 68, "")
    assert listener("tcp LISTEN 0 128 [::1]:5432 [::]:*")[:3] == ("tcp", "::1", 5432)
    assert listener("tcp LISTEN 0 128 *:8080 *:*")[:3] == ("tcp", "*", 8080)


@pytest.mark.parametrize(
    ("declared", "setting", "unit", "kind"),
    [
        ("500ms", "500", "ms", "integer"),
        ("5min", "300000", "ms", "integer"),
        ("1GB", "131072", "8kB", "integer"),
        ("64MB", "65536", "kB", "integer"),
        (20, "20", None, "integer"),
        (0.9, "0.9", None, "real"),
        (True, "on", None, "bool"),
        ("off", "off", None, "bool"),
        ("Replica", "replica", None, "enum"),
        ("localhost, ::1", "localhost, ::1", None, "string"),
    ],
)
def test_same_value(declared: SettingValue, setting: str, unit: str | None, kind: str) -> None:
    """A declared value is recognised in the server's own form, and another one is not."""
    assert same(declared, {"setting": setting, "unit": unit, "type": kind})
    other = {"bool": "off" if setting == "on" else "on", "enum": "minimal", "string": "*"}.get(kind, "7")
    assert not same(declared, {"setting": other, "unit": unit, "type": kind})
