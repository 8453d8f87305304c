"""The lab itself, on hosts of its own: they come up, survive what a test does to them, and leave nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

import lab
from lab import cgroups, lifecycle, machine, network, places, registry, removal, state
from lab.run import tail
from tests.lab.playbook import eventually

WEB = "hwlab-self-web"
OTHER = "hwlab-self-other"
TWIN = "hwlab-self-twin"
MEMORY = 512 << 20


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    try:
        machine.need()
    except lab.MissingError as error:
        # Skipped, they would look like tests that passed.
        pytest.fail(f"this machine cannot run test hosts: {error}", pytrace=False)


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A state directory of our own: the hosts that a developer has up are none of our business."""
    # Beside the developer's: a temporary directory may be in memory.
    directory = places.make_state() / f"clone-{os.getpid()}"
    before = os.environ.get("HOSTWRIGHT_LAB_STATE")
    os.environ["HOSTWRIGHT_LAB_STATE"] = str(directory)
    yield directory
    lab.down(*(host.name for host in state.load_all()))
    removal.remove_tree(directory)
    del os.environ["HOSTWRIGHT_LAB_STATE"]
    if before is not None:
        os.environ["HOSTWRIGHT_LAB_STATE"] = before


@pytest.fixture(scope="module")
def web(clone: Path) -> lab.Host:
    began = time.monotonic()
    host = lab.up(WEB)[0]
    print(f"{host.name} answered SSH after {time.monotonic() - began:.1f} s")
    return host


def command(*words: str, seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=places.PROJECT,
        env={**os.environ, **environment},
        check=False,
    )


def said(host: lab.Host, words: str, *, user: str = "root") -> str:
    done = subprocess.run(host.ssh(words, user=user), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def boot_of(host: lab.Host) -> str:
    # The kernel's boot_id is the machine's; when its first process started is the host's own.
    return said(host, "stat -c %Y.%Z /proc/1; stat -c %y /run/systemd/system")


def booted_since(host: lab.Host, before: str) -> bool:
    """Return whether a host has booted; on its way down it may answer once and then no more."""
    try:
        return boot_of(host) != before
    except AssertionError:
        return False


def answers(host: lab.Host) -> bool:
    done = subprocess.run([*host.ssh("true")], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def leftovers(machine_id: str, directory: Path) -> list[str]:
    """Whatever is still there of one host."""
    found = [f"process {pid}" for pid in cgroups.processes(machine_id)]
    found += [
        f"group {top / machine_id}"
        for top in [*cgroups.hierarchies(), *cgroups.cpu_hierarchies(), *cgroups.memory_hierarchies()]
        if (top / machine_id).exists()
    ]
    found += [
        line
        for listing in ("/proc/self/mountinfo", "/proc/swaps")
        for line in Path(listing).read_text().splitlines()
        if machine_id in line or str(directory) in line
    ]
    links = json.loads(subprocess.check_output(["ip", "-json", "link"]))
    found += [link["ifname"] for link in links if link["ifname"].endswith(machine_id[4:])]
    loops = subprocess.check_output(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], text=True)
    found += [f"loop device on {file}" for file in loops.splitlines() if str(directory) in file]
    found += [entry for entry in registry.directories() if entry == machine_id]
    nspawn = Path("/run/systemd/nspawn")
    found += [str(path) for path in nspawn.glob(f"*/*{machine_id}*")]
    return found + ([str(directory)] if directory.exists() else [])


def test_a_host_is_a_running_system_of_its_own(web: lab.Host) -> None:
    assert said(web, "hostname") == WEB
    eventually(lambda: said(web, "systemctl is-system-running; true") == "running")
    assert said(web, "cat /etc/machine-id") != Path("/etc/machine-id").read_text().strip()
    assert said(web, "sudo -n id -un", user="admin") == "root"
    assert said(web, "stat -f -c %T /tmp") != "tmpfs"


def test_up_again_does_nothing(web: lab.Host) -> None:
    before = boot_of(web)
    done = command("up", WEB)
    assert done.returncode == 0
    assert "up already" in done.stdout
    assert boot_of(web) == before


def test_up_refuses_another_image_for_a_host_that_is_there(web: lab.Host) -> None:
    done = command("up", web.name, "--image", "trixie")
    assert done.returncode == 1
    assert "made from bookworm" in done.stdout


def test_ssh_passes_the_exit_code_on(web: lab.Host) -> None:
    assert command("ssh", web.name, "exit 7").returncode == 7
    assert command("ssh", "hwlab-self-nobody", "true").returncode == 1


def test_the_list_shows_it(web: lab.Host) -> None:
    rows = json.loads(command("list", "--json").stdout)
    assert [(row["name"], row["state"], row["address"]) for row in rows] == [(WEB, "up", web.address)]


def test_an_inventory_can_reach_it_and_knows_its_key(web: lab.Host) -> None:
    (name, data), *others = lab.inventory_hosts()
    assert (name, others) == (WEB, [])
    client = paramiko.SSHClient()
    client.load_host_keys(str(data["ssh_known_hosts_file"]))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        str(data["ssh_hostname"]),
        username=str(data["ssh_user"]),
        key_filename=str(data["ssh_key"]),
        look_for_keys=False,
        allow_agent=False,
    )
    client.close()
    assert Path(str(data["ssh_key"])).stat().st_mode & 0o777 == 0o600


def test_the_outside_is_reachable(web: lab.Host) -> None:
    assert "InRelease" in said(web, "apt-get update -o APT::Update::Error-Mode=any")


def test_a_connection_outlives_a_cut_cable(web: lab.Host) -> None:
    shell = subprocess.Popen(web.ssh("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert shell.stdin is not None
    assert shell.stdout is not None
    try:
        print("before", file=shell.stdin, flush=True)
        assert shell.stdout.readline() == "before\n"
        lab.cut(WEB)
        assert lab.find(WEB).state == "cut"
        assert Path(f"/sys/class/net/vb-{web.id}/operstate").read_text() == "down\n"
        print("meanwhile", file=shell.stdin, flush=True)
        silent = subprocess.run(
            ["ssh", "-o", "ConnectTimeout=1", *web.ssh("true")[1:]],
            capture_output=True,
            timeout=10,
            check=False,
        )
        assert silent.returncode == 255
        lab.heal(WEB)
        assert shell.stdout.readline() == "meanwhile\n"
    finally:
        lab.heal(WEB)
        shell.kill()
        shell.communicate()


def test_a_power_cut_keeps_the_disk_and_takes_the_rest(web: lab.Host) -> None:
    swap = (
        "fallocate -l 5M /swap-of-hwlab-self && chmod 600 /swap-of-hwlab-self && mkswap /swap-of-hwlab-self"
    )
    said(web, f"echo kept > /root/mark && sync -f /root/mark && {swap} && swapon /swap-of-hwlab-self")
    assert "swap-of-hwlab-self" in Path("/proc/swaps").read_text()
    before = boot_of(web)
    lab.kill(WEB)
    assert lab.find(WEB).state == "off"
    assert "swap-of-hwlab-self" not in Path("/proc/swaps").read_text()
    assert lab.inventory_hosts() == []
    after = lab.boot(WEB)
    assert (after.address, after.id) == (web.address, web.id)
    assert said(web, "cat /root/mark") == "kept"
    assert boot_of(web) != before


def test_a_reboot_comes_back_by_itself(web: lab.Host) -> None:
    before = boot_of(web)
    subprocess.run(web.ssh("reboot"), capture_output=True, timeout=30, check=False)
    try:
        eventually(lambda: answers(web) and booted_since(web, before))
    except AssertionError:
        pytest.fail(f"{lab.find(WEB).state}:\n{tail(web.log, 30)}")
    assert web.address in said(web, "ip -4 address show dev host0")


def test_a_shutdown_is_off_until_it_is_started_again(web: lab.Host) -> None:
    subprocess.run(web.ssh("poweroff"), capture_output=True, timeout=30, check=False)
    eventually(lambda: lab.find(WEB).state == "off")
    assert command("ssh", WEB, "true").returncode == 1
    assert lab.up(WEB)[0].address == web.address
    assert said(web, "cat /root/mark") == "kept"


def test_two_clones_have_a_host_of_the_same_name(
    web: lab.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setenv("HOSTWRIGHT_LAB_STATE", str(tmp_path / ".lab"))
        try:
            twin = lab.up(WEB, image="trixie")[0]
            assert twin.address != web.address
            assert said(twin, "hostname; . /etc/os-release; echo $VERSION_CODENAME").split() == [
                WEB,
                "trixie",
            ]
            subprocess.run(twin.ssh("reboot"), capture_output=True, timeout=30, check=False)
            eventually(lambda: answers(twin))
        finally:
            lab.down(WEB)
        assert leftovers(twin.id, twin.directory) == []
    assert "bookworm" in said(web, "cat /etc/os-release")


@pytest.mark.parametrize("sign", ["disk.ext4", "console.log"])
def test_an_interrupted_up_is_made_good_by_the_next(clone: Path, sign: str) -> None:
    directory = state.directory_of(OTHER)
    first = subprocess.Popen([sys.executable, "-m", "lab", "up", OTHER], cwd=places.PROJECT)
    eventually((directory / sign).exists)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    with pytest.raises(lab.LabError, match=f"lab up {OTHER}"):
        lab.find(OTHER)
    host = lab.up(OTHER)[0]
    assert said(host, "hostname") == OTHER
    lab.down(OTHER)
    assert leftovers(host.id, host.directory) == []


def test_a_half_made_host_can_be_taken_down(clone: Path) -> None:
    directory = state.directory_of(OTHER)
    machine_id = state.machine_id(directory)
    first = subprocess.Popen([sys.executable, "-m", "lab", "up", OTHER], cwd=places.PROJECT)
    eventually((directory / "root/etc").exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert leftovers(machine_id, directory) != []
    lab.down(OTHER)
    assert leftovers(machine_id, directory) == []


def test_a_host_is_made_from_the_disk_of_another(clone: Path) -> None:
    saved = clone / "saved.ext4"
    host = lab.up(OTHER)[0]
    said(host, "echo kept >/root/kept; systemctl mask cron.service")
    # Left on when the host ends, as every swap file is.
    said(
        host, "cd /; fallocate -l 5M swap-of-other; chmod 600 swap-*; mkswap swap-* && swapon /swap-of-other"
    )
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    before = said(host, identity)
    assert lifecycle.save(OTHER, saved).state == "off"
    assert saved.is_dir() or saved.stat().st_blocks * 512 < saved.stat().st_size / 5
    with pytest.raises(lab.LabError, match="is there already"):
        lifecycle.save(OTHER, saved)
    with pytest.raises(lab.LabError, match="is of bookworm, not of trixie"):
        lifecycle.up(TWIN, image="trixie", disk=saved)
    assert not state.directory_of(TWIN).exists()
    # The host itself goes on from its disk, and what it does there is not in the copy.
    said(lab.boot(OTHER), "rm /root/kept")
    twin = lifecycle.up(TWIN, disk=saved, memory=MEMORY)
    # Whatever runs on it is counted, and limited.
    groups = [top / twin.id for top in cgroups.memory_hierarchies()]
    assert {(one / "memory.limit_in_bytes").read_text() for one in groups} <= {f"{MEMORY}\n"}
    listed = (one / "cgroup.procs" for one in groups)
    counted = {int(pid) for one in listed for pid in one.read_text().split()}
    assert not groups or len(cgroups.processes(twin.id) - counted) <= 2  # which began meanwhile
    assert lifecycle.find(TWIN).memory == MEMORY
    assert said(twin, "cat /root/kept; hostname; systemctl is-enabled cron; true").split() == [
        "kept", TWIN, "masked",
    ]  # fmt: skip
    assert not set(said(twin, identity).split()) & set(before.split()) - {"ssh-ed25519"}
    assert twin.address != host.address
    lab.down(OTHER, TWIN)
    removal.remove_tree(saved)


def test_down_leaves_nothing(web: lab.Host) -> None:
    swap = "fallocate -l 5M '/swap at hwlab-self' && chmod 600 /swap* && mkswap '/swap at hwlab-self'"
    said(web, f"{swap} && swapon '/swap at hwlab-self'; mkdir -p /mnt/x && mount -t tmpfs none /mnt/x")
    assert len(leftovers(web.id, web.directory)) > 4
    done = command("down", WEB)
    assert done.returncode == 0, done.stdout
    assert leftovers(web.id, web.directory) == []
    assert "hwlab-self" not in Path("/proc/swaps").read_text()
    assert "not there" in command("down", WEB).stdout
    if not registry.directories():
        tables = subprocess.check_output(["nft", "list", "tables"], text=True)
        assert network.TABLE not in tables


def test_a_mirror_out_of_reach_is_named_and_leaves_nothing(tmp_path: Path, clone: Path) -> None:
    # Port 9 of this machine: nobody listens there.
    done = command(
        "up",
        OTHER,
        HOSTWRIGHT_LAB_CACHE=str(tmp_path / "cache"),
        HOSTWRIGHT_LAB_MIRROR="http://127.0.0.1:9/none",
    )
    assert done.returncode == 1
    assert "mirror cannot be reached" in done.stdout
    assert "HOSTWRIGHT_LAB_MIRROR" in done.stdout
    assert not state.directory_of(OTHER).exists()
    assert list((tmp_path / "cache" / "images").iterdir()) == []
