"""A large archive on its way to a real host: told, cut off, gone on with, and sent anew when damaged."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

import artefact
from tests.lab import playbook
from tests.lab.playbook import LabHost, run, shell, ssh

pytestmark = pytest.mark.images("bookworm")
ONE_LOGIN = True
UPLOADED = "/var/lib/hostwright-upload/big"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> artefact.Artefact:
    tree = tmp_path_factory.mktemp("tree")
    (tree / "large.bin").write_bytes(os.urandom(40 << 20))
    return artefact.build(tree, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> LabHost:
    return lab_host


def deploy(made: artefact.Artefact, release: str) -> str:
    given = {"archive": str(made.path), "sha256": made.sha256, "app_dir": "/opt/big", "release": release}
    return f'from operations import release\nrelease.unpacked(name="unpack", **{given!r})\n'


def cut_off(host: LabHost, made: artefact.Artefact, release: str, place: Path) -> int:
    """Kill a run half way through its upload, and return how many bytes have arrived."""
    place.mkdir()
    file = f"{UPLOADED}/{made.sha256}.tar.gz"
    process = playbook.start(host, deploy(made, release), directory=place)
    size = f"$(stat -c %s {file} || echo 0)"
    shell(host, f"until [ {size} -gt 12000000 ] 2>/dev/null; do sleep 0.02; done")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=600)
    return int(shell(host, f"sleep 1; stat -c %s {file}"))


def test_an_upload_that_was_cut_off_is_gone_on_with(
    prepared: LabHost, made: artefact.Artefact, tmp_path: Path
) -> None:
    arrived = cut_off(prepared, made, "r1", tmp_path / "run")
    assert 12_000_000 < arrived < made.size, "the upload was over before it could be cut off"
    result = run(prepared, deploy(made, "r1")).ok()
    said = f"{arrived / 1e6:.1f} of {made.size / 1e6:.1f} MB are there from an earlier run; sending the rest"
    assert said in result.output
    told = [int(percent) for percent in re.findall(r"sent (\d+) % of", result.output)]
    assert told[-1] == 100
    assert min(told) > 100 * arrived / made.size
    assert shell(prepared, "stat -c %s /opt/big/releases/r1/large.bin") == str(40 << 20)
    assert ssh(prepared, "test -e /var/lib/hostwright-upload").returncode == 1
    assert run(prepared, deploy(made, "r1")).ok().changed == []


def test_what_is_damaged_is_sent_anew(prepared: LabHost, made: artefact.Artefact, tmp_path: Path) -> None:
    arrived = cut_off(prepared, made, "r2", tmp_path / "run")
    shell(
        prepared,
        f"dd if=/dev/zero of={UPLOADED}/{made.sha256}.tar.gz bs=1 seek={arrived - 9} count=9 conv=notrunc",
    )
    result = run(prepared, deploy(made, "r2")).ok()
    assert "what an earlier run sent is damaged; it is sent anew" in result.output
    assert re.findall(r"sent (\d+) % of", result.output)[-1] == "100"
    assert shell(prepared, "cd /opt/big/releases; cmp r1/large.bin r2/large.bin") == ""


def test_leftovers_of_other_archives_go(prepared: LabHost, made: artefact.Artefact) -> None:
    shell(
        prepared,
        f"install -d -m 0700 {UPLOADED}; cd {UPLOADED}; mkdir d; touch a .b d/c; ln -s /etc/passwd l",
    )
    # Longer than it can be, or a link to elsewhere: nothing to go on from.
    shell(prepared, f"ln -s /opt/big/releases/r1/large.bin {UPLOADED}/{made.sha256}.tar.gz")
    before = shell(prepared, "sha256sum /opt/big/releases/r1/large.bin /etc/passwd")
    run(prepared, deploy(made, "r3")).ok()
    assert ssh(prepared, "test -e /var/lib/hostwright-upload").returncode == 1
    assert shell(prepared, "sha256sum /opt/big/releases/r1/large.bin /etc/passwd") == before


def test_a_connection_without_sftp_sends_it_whole(prepared: LabHost, made: artefact.Artefact) -> None:
    flags = ("--data", "ssh_file_transfer_protocol=scp")
    assert run(prepared, deploy(made, "r4"), *flags).ok().changed == ["unpack"]
    assert shell(prepared, "cd /opt/big/releases; cmp r1/large.bin r4/large.bin") == ""


def test_a_full_disk_is_told_before_anything_is_sent(prepared: LabHost, made: artefact.Artefact) -> None:
    shell(
        prepared,
        "mkdir -p /var/lib/hostwright-upload; mount -t tmpfs -o size=9m none /var/lib/hostwright-upload",
    )
    result = run(prepared, deploy(made, "r5"))
    shell(prepared, "umount /var/lib/hostwright-upload; rmdir /var/lib/hostwright-upload")
    assert result.rc == 1
    assert "has 9 MB free, and the archive takes 42 MB; make room" in result.output
    assert "Traceback" not in result.output
    assert shell(prepared, "ls /opt/big/releases").split() == ["r1", "r2", "r3", "r4"]


def test_a_cable_cut_while_it_is_sent(prepared: LabHost, made: artefact.Artefact, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    process = playbook.start(prepared, deploy(made, "r6"), directory=place)
    file = f"{UPLOADED}/{made.sha256}.tar.gz"
    # The server's end of the session ends: the nearest to a cable that does not make the test wait for TCP.
    shell(
        prepared,
        f"until [ $(stat -c %s {file} || echo 0) -gt 12000000 ] 2>/dev/null; do sleep 0.02; done; "
        "kill $(pgrep -x sftp-server)",
    )
    output = "".join(process.communicate(timeout=600))
    assert process.returncode == 1
    assert "the upload was cut off (" in output
    assert "Traceback" not in output
    result = run(prepared, deploy(made, "r6")).ok()
    assert "MB are there from an earlier run; sending the rest" in result.output
