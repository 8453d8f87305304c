"""The machine: packages, SSH, swap, kernel settings."""

from __future__ import annotations

import re

import pytest

from declared import DeclaredHost
from settings import Settings, SwapSettings
from tests.acceptance.remote import Host, Remote
from tests.acceptance.view import HostView

UNITS = {"M": 1024, "G": 1024**2, "T": 1024**3}
# The first page of a swap file is its header.
HEADER_KIB = 64
SSHD = re.compile(r'"(sshd|systemd)"')


@pytest.fixture
def swap(settings: Settings) -> SwapSettings:
    """What is declared of swap."""
    if settings.swap is None:
        pytest.skip("group_data says swap = None: it is left as the host has it")
    return settings.swap


def test_package_is_installed(declared: DeclaredHost, view: HostView, package: str) -> None:
    """Every package that is declared, or that a layer needs, is there, by itself or in another one."""
    assert package in view.packages(), f"{package} is not installed"


def test_packages_are_sound(declared: DeclaredHost, remote: Remote) -> None:
    """No package is half installed, and no dependency is broken."""
    audit = remote.run("dpkg", "--audit")
    assert (audit.returncode, audit.stdout) == (0, "")
    check = remote.run("apt-get", "check", "-qq")
    assert check.returncode == 0, check.stderr


def test_ssh_configuration_takes_keys_only(
    declared: DeclaredHost, settings: Settings, view: HostView
) -> None:
    """What sshd reads from its files refuses passwords."""
    if not settings.ssh.key_only:
        pytest.skip("group_data says key_only = False: passwords are allowed")
    found = view.sshd()
    assert found["passwordauthentication"] == "no"
    assert found["kbdinteractiveauthentication"] == "no"
    assert found["permitemptypasswords"] == "no"
    assert found["pubkeyauthentication"] == "yes"
    assert found["permitrootlogin"] in ("no", "without-password", "prohibit-password")


def test_ssh_offers_keys_only(declared: DeclaredHost, settings: Settings, remote: Remote) -> None:
    """The sshd that runs offers a stranger nothing but keys: its files may be newer than it is."""
    if not settings.ssh.key_only:
        pytest.skip("group_data says key_only = False: passwords are allowed")
    assert remote.methods_offered() == ["publickey"]


def test_ssh_listens_where_declared(declared: DeclaredHost, settings: Settings, view: HostView) -> None:
    """SSH answers on the declared port."""
    # With socket activation systemd itself holds the port. On loopback are forwarded ports of logins.
    ports = {
        port
        for protocol, address, port, who in view.listeners()
        if protocol == "tcp" and not address.startswith(("127.", "::1")) and SSHD.search(who)
    }
    assert ports == {declared.ssh_port}


def test_authorized_keys(declared: DeclaredHost, settings: Settings, remote: Remote) -> None:
    """Every declared key may log in as the login user."""
    user = declared.data.get("ssh_user") or "root"
    home = remote.run("getent", "passwd", str(user)).stdout.split(":")[5]
    found = remote.run("cat", f"{home}/.ssh/authorized_keys").stdout
    keys = {tuple(line.split()[:2]) for line in found.splitlines() if line and not line.startswith("#")}
    assert keys, f"{user} has no key on the host"
    missing = [key for key in settings.ssh.authorized_keys if tuple(key.split()[:2]) not in keys]
    assert not missing


def test_swap_is_active_with_its_size(declared: DeclaredHost, swap: SwapSettings, remote: Remote) -> None:
    """The kernel is the judge: it uses the declared file, with the declared size, or it uses none."""
    found = remote.look("swaps.py", swap.path)
    assert found["in_use"] == (swap.size is not None)
    if swap.size is not None:
        wanted = int(swap.size[:-1]) * UNITS[swap.size[-1]]
        assert [size for size in found["sizes"] if wanted - HEADER_KIB <= size <= wanted], found["sizes"]


def test_swap_is_in_fstab_once(declared: DeclaredHost, swap: SwapSettings, remote: Remote) -> None:
    """The swap file comes back at boot, by exactly one line."""
    lines = [line.split() for line in remote.run("cat", "/etc/fstab").stdout.splitlines()]
    found = [words for words in lines if words and not words[0].startswith("#") and words[0] == swap.path]
    assert len(found) == (0 if swap.size is None else 1)
    assert all(words[2] == "swap" for words in found)


def test_swap_file_is_private(declared: DeclaredHost, swap: SwapSettings, host: Host) -> None:
    """Nobody but root reads what was swapped out."""
    file = host.file(swap.path)
    assert file.exists == (swap.size is not None)
    if swap.size is not None:
        assert (file.is_file, file.user, file.group, oct(file.mode)) == (True, "root", "root", "0o600")


@pytest.fixture
def swappiness(swap: SwapSettings) -> str:
    """What is declared of swappiness."""
    if swap.size is None:
        pytest.skip("group_data says size = None: without swap there is no swappiness to keep")
    return str(swap.swappiness)


def test_swappiness_is_live(declared: DeclaredHost, swappiness: str, remote: Remote) -> None:
    """The kernel uses the declared value now."""
    assert remote.look("sysctl.py", "vm.swappiness")["live"] == swappiness


def test_swappiness_survives_a_boot(declared: DeclaredHost, swappiness: str, remote: Remote) -> None:
    """The files of sysctl.d give the declared value at the next boot."""
    file, value = remote.look("sysctl.py", "vm.swappiness")["boot"] or ("no file", None)
    assert (value, file.startswith("/etc/sysctl.d/")) == (swappiness, True), file
