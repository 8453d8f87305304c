"""`operations/ufw.py` on real hosts, with real connections from outside."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from facts.script import text
from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh, start

TEMPLATE = "packages"
DEPLOY = """
from operations import packages, ufw
packages.installed(name="Install ufw", packages=["ufw"])
ufw.firewall(name="Firewall", {arguments})
"""
ALLOW = 'allow=[{"port": 3000, "comment": "web"}, {"port": 4000, "source": "203.0.113.0/24"}]'
RULES = ["allow 22/tcp comment 'SSH'", "allow 3000/tcp comment 'web'",
         "allow from 203.0.113.0/24 to any port 4000 proto tcp"]  # fmt: skip
SAVED = "/var/lib/hostwright/undo/ufw"


def deploy(arguments: str) -> str:
    return DEPLOY.format(arguments=arguments)


def rules(host: LabHost) -> list[str]:
    lines = shell(host, "ufw show added").splitlines()
    return sorted(line.removeprefix("ufw ") for line in lines if line.startswith("ufw "))


def answers(host: LabHost, port: int) -> bool:
    """Say whether a TCP connection from outside comes to anything but silence."""
    try:
        socket.create_connection((host.address, port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture(scope="module")
def walled(lab_host: LabHost) -> LabHost:
    """Give a host with the firewall of ALLOW, proven by the first test."""
    run(lab_host, deploy(ALLOW)).ok()
    return lab_host


def test_create_from_nothing(walled: LabHost) -> None:
    assert rules(walled) == sorted(RULES)
    status = shell(walled, "ufw status verbose")
    assert "Status: active" in status
    assert "deny (incoming), allow (outgoing)" in status
    assert shell(walled, "systemctl is-enabled ufw") == "enabled"
    assert "--dport 3000 -j ACCEPT" in shell(walled, "ip6tables -S ufw6-user-input")
    assert answers(walled, 3000)
    assert not answers(walled, 4000)
    assert not answers(walled, 9999)
    # Nothing of the trial is left.
    assert shell(walled, "ls /etc/systemd/system | grep -c hostwright-undo || [ $? -eq 1 ]") == "0"
    assert shell(walled, f"[ ! -e {SAVED} ] && echo gone") == "gone"
    assert shell(walled, "systemctl list-timers --all | grep -c hostwright || [ $? -eq 1 ]") == "0"


def test_again_changes_nothing(walled: LabHost) -> None:
    before = fingerprint(walled), shell(walled, "iptables -S; ip6tables -S")
    assert run(walled, deploy(ALLOW)).ok().changed == []
    assert (fingerprint(walled), shell(walled, "iptables -S; ip6tables -S")) == before


def test_what_was_kept_of_the_rules_counts_for_these_files_alone(walled: LabHost) -> None:
    kept = "/var/lib/hostwright/ufw-rules"
    digest, *words = shell(walled, f"cat {kept}").splitlines()
    assert digest == shell(walled, "cat /etc/ufw/user.rules /etc/ufw/user6.rules | sha256sum")
    assert sorted(words) == [f"rule {line}" for line in rules(walled)]
    state = shell(walled, "sh", stdin=text("ufw-state.sh"))
    # Kept words that are wrong show that they are used, and that a changed file makes them be looked up.
    shell(walled, f"cp {kept} {kept}.right; sed -i '$s/.*/rule kept/' {kept}")
    assert shell(walled, "sh", stdin=text("ufw-state.sh")).endswith("rule kept")
    shell(walled, "echo '# by hand' >> /etc/ufw/user.rules")
    assert shell(walled, "sh", stdin=text("ufw-state.sh")) == state
    shell(walled, f"sed -i '$d' /etc/ufw/user.rules; mv {kept}.right {kept}")


def test_update_removes_what_is_not_declared(walled: LabHost) -> None:
    shell(
        walled, "ufw deny in on lo to any port 99; ufw allow from 203.0.113.9; ufw allow 2001/udp comment 'x'"
    )
    arguments = 'allow=[{"port": 3000, "comment": "main"}, {"port": "8000:8010", "proto": "udp"}]'
    kept = run(walled, deploy(f"{arguments}, keep_foreign=True")).ok()
    assert kept.changed == ["Firewall"]
    assert "allow from 203.0.113.9" in rules(walled)
    assert run(walled, deploy(arguments)).ok().changed == ["Firewall"]
    assert rules(walled) == [
        "allow 22/tcp comment 'SSH'", "allow 3000/tcp comment 'main'", "allow 8000:8010/udp",
    ]  # fmt: skip
    assert run(walled, deploy(arguments)).ok().changed == []
    run(walled, deploy(ALLOW)).ok()
    assert rules(walled) == sorted(RULES)


def test_switched_off_or_flushed_by_hand_comes_back(walled: LabHost) -> None:
    shell(walled, "ufw disable && ufw default allow incoming && sed -i s/IPV6=yes/IPV6=no/ /etc/default/ufw")
    assert run(walled, deploy(ALLOW)).ok().changed == ["Firewall"]
    status = shell(walled, "ufw status verbose")
    assert "Status: active" in status
    assert "deny (incoming)" in status
    assert "3000/tcp (v6)" in status


def test_locked_out_by_ssh_from_is_undone_at_once(walled: LabHost) -> None:
    before = fingerprint(walled, "/etc/ufw", "/etc/default"), shell(walled, "iptables -S")
    arguments = f'{ALLOW}, ssh_from=["203.0.113.7"], undo_after=60'
    result = run(walled, deploy(arguments))
    assert result.rc != 0
    assert "a new login failed" in result.output
    assert "the state before it is back" in result.output
    after = fingerprint(walled, "/etc/ufw", "/etc/default"), shell(walled, "iptables -S")
    assert after[1] == before[1]
    for directory in ("/etc/ufw", "/etc/default"):  # files came back by rename
        before[0].pop(directory)
        after[0].pop(directory)
    assert after[0] == before[0]


KILLED = """
import os, signal
from operations import reconnect
def confirm_by_new_login(state, host, trial, undo_after):
    os.kill(os.getpid(), signal.SIGKILL)
reconnect.confirm_by_new_login = confirm_by_new_login
"""


def test_killed_controller_is_undone_by_the_host_itself(walled: LabHost, tmp_path: Path) -> None:
    before = rules(walled)
    arguments = f'{ALLOW}, ssh_from=["203.0.113.7"], undo_after=8'
    process = start(walled, KILLED + deploy(arguments), directory=tmp_path)
    process.communicate(timeout=600)
    assert process.returncode == -9
    assert not answers(walled, 22), "the lock-out that the undo is for did not happen"
    deadline = time.monotonic() + 160
    while ssh(walled, f"[ ! -e {SAVED} ]").returncode != 0 and time.monotonic() < deadline:
        time.sleep(1)
    assert shell(walled, f"[ ! -e {SAVED} ] && echo gone") == "gone"
    assert rules(walled) == before
    assert "Status: active" in shell(walled, "ufw status")


def test_cut_off_run_is_completed_by_the_next(walled: LabHost, tmp_path: Path) -> None:
    shell(walled, "ufw allow 7777/tcp")
    process = start(walled, KILLED + deploy(f"{ALLOW}, undo_after=600"), directory=tmp_path)
    process.communicate(timeout=600)
    assert process.returncode == -9
    assert rules(walled) == sorted(RULES)
    assert shell(walled, f"ls {SAVED}/armed") == f"{SAVED}/armed"
    # As declared, but unconfirmed: were this "no change", the timer would take it all back.
    assert run(walled, deploy(ALLOW)).ok().changed == ["Firewall"]
    assert shell(walled, f"[ ! -e {SAVED} ] && echo gone") == "gone"
    assert run(walled, deploy(ALLOW)).ok().changed == []


def test_bad_input_touches_nothing(walled: LabHost) -> None:
    before = fingerprint(walled)
    result = run(walled, deploy('allow=[{"port": 3000, "source": "10.0.0.1/8"}]'))
    assert result.rc != 0
    assert "source '10.0.0.1/8' is no network" in result.output
    assert fingerprint(walled) == before


def test_not_installed_says_so(lab_host: LabHost) -> None:
    # Last, since it takes the firewall away.
    shell(lab_host, "ufw disable && apt-get purge -y ufw")
    result = run(lab_host, "from operations import ufw\nufw.firewall(allow=[])")
    assert result.rc != 0
    assert "install the package ufw first" in result.output
    assert shell(lab_host, f"[ ! -e {SAVED} ] && echo gone") == "gone"
