"""The parts of the lab that need no host."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import (
    authorities,
    cgroups,
    disk,
    images,
    lifecycle,
    machine,
    network,
    places,
    removal,
    ssh,
    state,
    sysctls,
)
from lab.__main__ import main, size
from lab.errors import LabError, MissingError
from lab.locks import is_locked, locked


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOSTWRIGHT_LAB_STATE", str(tmp_path / ".lab"))
    return tmp_path / ".lab"


@given(st.from_regex(r"hwl-[0-9a-f]{8}", fullmatch=True))
def test_the_first_cable_is_in_the_range_and_the_same_each_time(machine_id: str) -> None:
    first = next(network.cables(machine_id))
    assert first.subnet_of(network.RANGE)
    assert first == next(network.cables(machine_id))


def test_an_address_in_use_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "present", list)
    gateway, address = network.free_cable("hwl-00000001", [])
    assert ipaddress.IPv4Address(address) == ipaddress.IPv4Address(gateway) + 1
    assert network.free_cable("hwl-00000001", [gateway])[0] != gateway
    taken = ipaddress.IPv4Network(f"{address}/24", strict=False)
    monkeypatch.setattr(network, "present", lambda: [taken])
    assert ipaddress.IPv4Address(network.free_cable("hwl-00000001", [])[0]) not in taken
    with pytest.raises(LabError, match="is taken now"):
        network.free_cable("hwl-00000001", [], wanted=address)


def test_no_address_left_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "present", lambda: [network.RANGE])
    with pytest.raises(LabError, match="no free address"):
        network.free_cable("hwl-00000001", [])


def test_names_of_interfaces_fit(clone: Path) -> None:
    machine_id = state.machine_id(state.directory_of("web1"))
    assert len(f"vb-{machine_id}") <= 15
    assert len(network.bridge(machine_id)) <= 15
    assert machine_id != state.machine_id(state.directory_of("web2"))


@pytest.mark.parametrize("name", ["", "-web", "web-", "Web", "a/b", "..", "w" * 33, "web 1"])
def test_a_name_that_cannot_be_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a host name"):
        state.check_name(name)


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match="bookworm, trixie, jammy, noble"):
        images.suite("squeeze")


def test_ubuntu_needs_its_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(machine.KEYRINGS, "ubuntu", tmp_path / "none.gpg")
    assert machine.keyring_package("ubuntu") in machine.missing_packages(vendor="ubuntu")
    assert machine.keyring_package("ubuntu") not in machine.missing_packages(vendor="debian")


def test_what_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "PACKAGES", {"no-such-program": "no-such-package", "sh": "dash"})
    with pytest.raises(MissingError, match="apt-get install no-such-package"):
        machine.need()


def test_an_ordinary_user_is_told_to_use_sudo(
    monkeypatch: pytest.MonkeyPatch, clone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["up", "web1"]) == 2
    assert "sudo" in caplog.text
    assert not clone.exists()


def test_down_without_a_name_is_refused(clone: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["down"]) == 1
    assert "--all" in caplog.text


def test_a_host_that_was_never_made_is_named(clone: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["ssh", "web1"]) == 1
    assert "there is no host 'web1'" in caplog.text


def test_the_ssh_command_checks_the_host_key(clone: Path) -> None:
    host = state.Host("web1", "bookworm", state.directory_of("web1"), "198.18.0.2", "198.18.0.1", ready=True)
    words = host.ssh("uptime", user="admin")
    assert words[-2:] == ["admin@198.18.0.2", "uptime"]
    assert "StrictHostKeyChecking=yes" in words
    assert f"UserKnownHostsFile={host.known_hosts}" in words


def test_what_is_known_of_a_host_survives_a_write(clone: Path) -> None:
    places.make_state()
    directory = state.directory_of("web1")
    directory.mkdir(parents=True)
    host = state.Host("web1", "trixie", directory, "198.18.0.2", "198.18.0.1", ready=True, cut=True).save()
    assert state.load("web1") == host
    assert host.state == "off"
    assert clone.stat().st_mode & 0o077 == 0
    assert (clone / ".gitignore").read_text() == "*\n"


def test_a_host_without_its_record_is_half_made(clone: Path) -> None:
    state.directory_of("web1").mkdir(parents=True)
    found = state.load("web1")
    assert found is not None
    assert found.state == "half-made"
    with locked(state.lock_file("web1")):
        assert found.state == "starting"


def test_a_lock_is_seen_by_others(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_only_processes_that_can_be_seen_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "hwl-00000001" / "payload" / "init.scope"
    group.mkdir(parents=True)
    # 0 would kill ourselves, 1 the machine.
    (group / "cgroup.procs").write_text("0\n1\n4711\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [tmp_path])
    monkeypatch.setattr(cgroups, "cpu_hierarchies", list)
    assert cgroups.processes("hwl-00000001") == {4711}
    assert cgroups.processes("hwl-00000002") == set()


@pytest.mark.parametrize("word", ["2", "0G", "2g", "2GB", "-1M", ""])
def test_what_is_no_size_of_memory_is_told(
    word: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["up", "web1", f"--memory={word}"])
    assert f"{word!r} is not a size; write it like 512M or 2G" in capsys.readouterr().err
    assert not clone.exists()


def test_a_size_of_memory_is_read() -> None:
    assert (size("512M"), size("2G")) == (512 * 2**20, 2 * 2**30)


@pytest.mark.parametrize(
    ("own", "limit"), [(True, "memory.limit_in_bytes"), (False, "memory.max")], ids=["first", "unified"]
)
def test_memory_is_limited_where_the_kernel_counts_it(
    own: bool, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unified, memory = tmp_path / "unified", tmp_path / "memory"
    unified.mkdir()
    (unified / "cgroup.controllers").write_text("pids\n" if own else "memory pids\n")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [unified])
    monkeypatch.setattr(cgroups, "cpu_hierarchies", list)
    monkeypatch.setattr(cgroups, "memory_hierarchies", lambda: [memory] if own else [])
    joined = cgroups.make("hwl-00000001", memory=2**30)
    # Of the unified one it is in a part of the group that is limited.
    assert joined == [unified / "hwl-00000001/supervisor", *([memory / "hwl-00000001"] if own else [])]
    assert ((memory if own else unified) / "hwl-00000001" / limit).read_text() == str(2**30)


def test_where_no_memory_is_counted_a_host_cannot_have_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [tmp_path])
    monkeypatch.setattr(cgroups, "cpu_hierarchies", list)
    monkeypatch.setattr(cgroups, "memory_hierarchies", list)
    with pytest.raises(MissingError, match="counts no memory for each group"):
        cgroups.make("hwl-00000001", memory=2**30)


def test_certificates_are_told_apart() -> None:
    one = "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----"
    two = one.replace("AAA", "BBB")
    assert authorities.certificates(f"# a comment\n{one}\n\n{two}\n") == [one, two]


def test_only_swap_below_the_root_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swap file").write_bytes(b"")
    listing = tmp_path / "swaps"
    listing.write_text("Filename\tType\n/swap\\040file file 1 0 -2\n/another file 1 0 -3\n")
    monkeypatch.setattr(removal, "SWAPS", listing)
    assert removal.swap_under(tmp_path) == [tmp_path / "swap file"]
    assert removal.swap_under(tmp_path / "elsewhere") == []


def test_settings_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "sys"
    for name, value in (
        ("vm/swappiness", "60"),
        ("net/ipv4/ip_forward", "0"),
        ("vm/drop_caches", "0"),
        ("fs/inotify/max_user_instances", "128"),
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"{value}\n")
    monkeypatch.setattr(sysctls, "TOP", tree)
    kept = tmp_path / "kept.json"
    sysctls.keep(kept)
    assert "vm/drop_caches" not in json.loads(kept.read_text())["settings"]
    (tree / "vm/swappiness").write_text("10\n")
    sysctls.allow()
    assert (tree / "fs/inotify/max_user_instances").read_text() == "4096\n"
    # A second host does not take the first one's settings for the machine's.
    sysctls.keep(kept)
    assert sysctls.put_back(kept) == []
    assert (tree / "vm/swappiness").read_text() == "60\n"
    assert (tree / "net/ipv4/ip_forward").read_text() == "0\n"
    assert (tree / "fs/inotify/max_user_instances").read_text() == "128\n"
    assert not kept.exists()


def test_a_disk_that_is_not_there_is_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "need", lambda **_: None)
    with pytest.raises(LabError, match="there is no disk /none"):
        lifecycle.up("web1", disk=Path("/none"))
    assert not state.directory_of("web1").exists()


def test_without_loop_devices_a_saved_disk_is_a_directory(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("make_host_key", "authorize"):
        monkeypatch.setattr(ssh, name, lambda _: None)
    places.make_state()
    one, two, three = (
        state.Host(name, image, state.directory_of(name), address="198.18.0.2", gateway="198.18.0.1")
        for name, image in (("one", "bookworm"), ("two", "bookworm"), ("three", "trixie"))
    )
    for host in (one, two, three):
        host.directory.mkdir()
    (one.root / "etc" / "default").mkdir(parents=True)
    (one.root / "etc" / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    (one.root / "etc" / "machine-id").write_text("1" * 32)
    saved = tmp_path / "saved"
    with locked(tmp_path / "lock") as lock:
        disk.save(one, saved, lock)
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("saved")] == ["saved"]
        with pytest.raises(LabError, match="is there already"):
            disk.save(one, saved, lock)
        disk.make(two, lock, saved)
        with pytest.raises(LabError, match="is of bookworm, not of trixie"):
            disk.make(three, lock, saved)
    assert (two.root / "etc" / "hostname").read_text() == "two\n"
    assert (two.root / "etc" / "machine-id").read_text() == ""
    assert (one.root / "etc" / "machine-id").read_text() == "1" * 32


def test_hosts_in_memory_are_refused() -> None:
    machine.need_disk(Path(__file__).parent)
    with pytest.raises(MissingError, match=r"/dev/shm is in memory .*HOSTWRIGHT_LAB_STATE"):
        machine.need_disk(Path("/dev/shm"))
