"""`operations/swap.py` on real hosts; the kernel's swap is this whole machine's, so sizes are small."""

from __future__ import annotations

import pytest

from facts.script import HOST_PROGRAMS
from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh

pytestmark = pytest.mark.images("bookworm")
ONE_LOGIN = True
PATH = "/swapfile"
FSTAB = "# kept as it is\nUUID=0  /data\text4   noauto,nofail 0 2\n"
LINE = f"{PATH} none swap sw 0 0"


def deploy(size: str = "32M", more: str = "") -> str:
    return f'from operations import swap\nswap.file(name="Swap", path="{PATH}", size="{size}", {more})\n'


ABSENT = f'from operations import swap\nswap.absent(name="No swap", path="{PATH}")\n'


def program(file: str) -> str:
    return (HOST_PROGRAMS / file).read_text(encoding="utf-8")


def listed(host: LabHost) -> bool:
    """Say whether /proc/swaps has a line of that path and size, be it of another host."""
    size = int(shell(host, f"stat -c %s {PATH}")) // 1024 - 4
    lines = [line.split() for line in shell(host, "cat /proc/swaps").splitlines()[1:]]
    return any(line[0] == PATH and int(line[2]) == size for line in lines)


def in_use(host: LabHost) -> bool:
    """Ask the kernel by an attempt to cut the file short, which it refuses for swap in use."""
    done = ssh(host, f"truncate --size +0 {PATH}")
    return done.returncode != 0 and "Text file busy" in done.stderr


@pytest.fixture(scope="module")
def swapping(lab_host: LabHost) -> LabHost:
    """Give a host with a 32 MiB swap file, made by the operation, beside an fstab with other lines."""
    shell(lab_host, "cat >/etc/fstab", stdin=FSTAB)
    assert run(lab_host, deploy()).ok().changed == ["Swap"]
    return lab_host


def test_create(swapping: LabHost) -> None:
    assert listed(swapping)
    assert in_use(swapping)
    assert shell(swapping, f"stat -c '%U %a %s' {PATH}") == f"root 600 {32 * 1024 * 1024}"
    assert shell(swapping, "cat /etc/fstab") == f"{FSTAB}{LINE}"
    assert shell(swapping, "cat /proc/sys/vm/swappiness") == "10"
    assert shell(swapping, "grep -v '^#' /etc/sysctl.d/99-hostwright-swap.conf") == "vm.swappiness = 10"


def test_again_changes_nothing(swapping: LabHost) -> None:
    before = fingerprint(swapping, "/etc", PATH)
    assert run(swapping, deploy()).ok().changed == []
    assert fingerprint(swapping, "/etc", PATH) == before


def test_resize_both_ways(swapping: LabHost) -> None:
    for size in (48, 16, 32):
        assert run(swapping, deploy(f"{size}M")).ok().changed == ["Swap"]
        assert shell(swapping, f"stat -c %s {PATH}") == str(size * 1024 * 1024)
        assert listed(swapping)
        assert in_use(swapping)
        assert shell(swapping, "grep -c swapfile /etc/fstab") == "1"
        assert run(swapping, deploy(f"{size}M")).ok().changed == []


def test_fstab_is_put_right(swapping: LabHost) -> None:
    messy = (
        f"# {LINE}\n{PATH}\tswap\tswap\tdefaults 0 0\nUUID=0  /data\text4 noauto 0 2\n//swapfile none swap sw"
    )
    shell(swapping, "cat >/etc/fstab", stdin=messy)
    assert run(swapping, deploy()).ok().changed == ["Swap"]
    assert shell(swapping, "cat /etc/fstab") == f"# {LINE}\n{LINE}\nUUID=0  /data\text4 noauto 0 2"
    assert run(swapping, deploy()).ok().changed == []


def test_off_or_wrong_mode_comes_back(swapping: LabHost) -> None:
    shell(swapping, f"swapoff {PATH}; chmod 644 {PATH}")
    assert run(swapping, deploy()).ok().changed == ["Swap"]
    assert in_use(swapping)
    assert shell(swapping, f"stat -c %a {PATH}") == "600"


@pytest.mark.parametrize(
    ("before", "size"), [("rm", 20), ("mkswap", 24), ("mv", 28), ("swapon", 36), ("chmod", 40)]
)
def test_killed_before_any_step_the_next_run_completes_it(swapping: LabHost, before: str, size: int) -> None:
    """Kill the program on the host right before one of its commands: a power cut at that point."""
    shell(
        swapping, "rm -rf /tmp/trap && mkdir /tmp/trap && cat >/tmp/apply.sh", stdin=program("swap-apply.sh")
    )
    trap = '#!/bin/sh\nkill -9 "$PPID"\n'
    shell(swapping, f"cat >/tmp/trap/{before} && chmod +x /tmp/trap/{before}", stdin=trap)
    killed = ssh(swapping, f"PATH=/tmp/trap:$PATH sh /tmp/apply.sh {PATH} {size * 1024 * 1024}")
    assert killed.returncode != 0, "it was not killed"
    assert run(swapping, deploy(f"{size}M")).ok().changed == ["Swap"]
    assert shell(swapping, f"stat -c %s {PATH}") == str(size * 1024 * 1024)
    assert listed(swapping)
    assert in_use(swapping)
    assert ssh(swapping, f"ls {PATH}.*").returncode != 0
    assert shell(swapping, "grep -c '^/swapfile' /etc/fstab") == "1"


def test_another_hosts_swap_of_the_same_name_is_not_ours(swapping: LabHost) -> None:
    """A file of the same path and size, not in use, while /proc/swaps says that one is."""
    run(swapping, deploy()).ok()
    shell(swapping, f"cp --sparse=never {PATH} /other && chmod 600 /other && mount --bind /other {PATH}")
    try:
        assert listed(swapping)
        assert not in_use(swapping)
        seen = shell(
            swapping,
            "cat >/tmp/state.sh; sh /tmp/state.sh /swapfile /dev/null",
            stdin=program("swap-state.sh"),
        )
        assert "active yes" not in seen
    finally:
        shell(swapping, f"umount {PATH}; rm /other")
    seen = shell(
        swapping, "cat >/tmp/state.sh; sh /tmp/state.sh /swapfile /dev/null", stdin=program("swap-state.sh")
    )
    assert "active yes" in seen


def test_bad_input_touches_nothing(swapping: LabHost) -> None:
    before = fingerprint(swapping, "/etc", PATH)
    for code, message in (
        (deploy("2GB"), "size '2GB' is not a size; write '2G'"),
        (deploy("900T"), "do not fit: the disk of /swapfile has"),
        (deploy(more="swappiness=300"), "swappiness 300 is out of range"),
        (deploy().replace(PATH, "/etc/hostname"), "/etc/hostname is a file that is no swap file"),
        (deploy().replace(PATH, "/dev/shm/swap"), "is on tmpfs, which cannot hold this swap file"),
        (ABSENT.replace(PATH, "/etc/hostname"), "without a swap header"),
    ):
        result = run(swapping, code)
        assert result.rc != 0, code
        assert message in result.output
    assert fingerprint(swapping, "/etc", PATH) == before


def test_remove(swapping: LabHost) -> None:
    assert run(swapping, ABSENT).ok().changed == ["No swap"]
    assert ssh(swapping, f"ls {PATH}").returncode != 0
    assert "swapfile none" not in shell(swapping, "grep -v '^#' /etc/fstab")
    assert shell(swapping, "grep -c ^UUID=0 /etc/fstab") == "1"
    before = fingerprint(swapping, "/etc")
    assert run(swapping, ABSENT).ok().changed == []
    assert fingerprint(swapping, "/etc") == before
