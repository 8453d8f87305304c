"""`operations/sshd.py` on real hosts: what sshd offers on the wire, and that nobody is locked out."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh, start

DROP_IN = "/etc/ssh/sshd_config.d/00-hostwright.conf"
# sshd closes its port for a moment when it reloads.
RELOAD = "systemctl reload ssh && sleep 1"
SAVED = "/var/lib/hostwright/undo/sshd"
DEPLOY = """
from operations import sshd
sshd.config(name="Keys only", {arguments})
"""


def deploy(arguments: str = "") -> str:
    return DEPLOY.format(arguments=arguments)


def offered(host: LabHost) -> set[str]:
    """Ask sshd, without any key, which ways to log in it offers."""
    done = subprocess.run(
        ["ssh", "-F", "none", "-v", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none",
         "-o", f"UserKnownHostsFile={host.known_hosts}", f"root@{host.address}", "true"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    line = next(line for line in done.stderr.splitlines() if "Authentications that can continue:" in line)
    return set(line.rsplit(": ", 1)[1].split(","))


def daemon(host: LabHost) -> str:
    return shell(host, "systemctl show --property=MainPID --value ssh.service")


@pytest.fixture(scope="module")
def keyed(lab_host: LabHost) -> LabHost:
    """Give a host where cloud-init let passwords in, as on a droplet, and then keys only was declared."""
    lines = "PasswordAuthentication yes\\nPermitRootLogin yes\\n"
    shell(
        lab_host,
        f"rm -f {DROP_IN}; printf '{lines}' >/etc/ssh/sshd_config.d/50-cloud-init.conf; {RELOAD}",
    )
    assert "password" in offered(lab_host)
    pid = daemon(lab_host)
    assert run(lab_host, deploy()).ok().changed == ["Keys only"]
    assert daemon(lab_host) == pid, "sshd was restarted, not reloaded"
    return lab_host


def test_create_beats_cloud_init(keyed: LabHost) -> None:
    assert offered(keyed) == {"publickey"}
    effective = shell(keyed, "sshd -T").splitlines()
    for line in (
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
    ):
        assert line in effective
    assert (
        shell(keyed, f"[ ! -e {SAVED} ] && ls /etc/systemd/system | grep -c hostwright-undo || [ $? -eq 1 ]")
        == "0"
    )


def test_again_changes_nothing(keyed: LabHost) -> None:
    before = fingerprint(keyed), daemon(keyed)
    assert run(keyed, deploy()).ok().changed == []
    assert (fingerprint(keyed), daemon(keyed)) == before


def test_update_keeps_open_sessions(keyed: LabHost) -> None:
    pid = daemon(keyed)
    session = subprocess.Popen(
        ["ssh", "-F", "none", "-i", str(keyed.key), "-o", f"UserKnownHostsFile={keyed.known_hosts}",
         f"root@{keyed.address}", "read line; echo got $line"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run(keyed, deploy("max_auth_tries=4, allow_users=['root', 'deploy']")).ok().changed == [
        "Keys only"
    ]
    assert session.communicate("it\n", timeout=600)[0] == "got it\n"
    assert daemon(keyed) == pid
    effective = shell(keyed, "sshd -T").splitlines()
    assert {"maxauthtries 4", "allowusers root", "allowusers deploy"} <= set(effective)
    assert run(keyed, deploy("max_auth_tries=4, allow_users=['root', 'deploy']")).ok().changed == []
    assert run(keyed, deploy()).ok().changed == ["Keys only"]


def test_unread_or_overruled_drop_in_is_noticed(keyed: LabHost) -> None:
    shell(
        keyed,
        f"sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' {DROP_IN}; {RELOAD}",
    )
    assert "password" in offered(keyed)
    assert run(keyed, deploy()).ok().changed == ["Keys only"]
    assert offered(keyed) == {"publickey"}
    # Written, but cut off before the reload.
    shell(keyed, f"sleep 1.1; touch {DROP_IN}")
    assert run(keyed, deploy()).ok().changed == ["Keys only"]
    assert run(keyed, deploy()).ok().changed == []


def test_match_block_that_overrules_is_refused(keyed: LabHost) -> None:
    shell(
        keyed,
        f"rm {DROP_IN}; printf 'Match User root\\n PasswordAuthentication yes\\n' >>/etc/ssh/sshd_config",
    )
    try:
        result = run(keyed, deploy("undo_after=5"))
        assert result.rc != 0
        assert "sshd would not do 'passwordauthentication no' for root" in result.output
        assert ssh(keyed, f"ls {DROP_IN}").returncode != 0
    finally:
        shell(keyed, "head -n -2 /etc/ssh/sshd_config >/tmp/main && cat /tmp/main >/etc/ssh/sshd_config")
    run(keyed, deploy()).ok()


def test_login_that_stops_working_is_undone(keyed: LabHost) -> None:
    before = shell(keyed, f"cat {DROP_IN}")
    # A key that counts as long as the file is there, and that sshd then refuses: its directory is open.
    shell(
        keyed,
        "chmod 777 /root/.ssh; echo StrictModes no >/etc/ssh/sshd_config.d/01-lax.conf; " + RELOAD,
    )
    breaking = "import os\nfrom operations import sshd\n" + (
        "plain = sshd.render\nsshd.render = lambda settings: plain(settings) + 'StrictModes yes\\n'\n"
    )
    result = run(keyed, breaking + deploy("max_auth_tries=5, undo_after=60"))
    assert result.rc != 0
    assert "a new login failed" in result.output
    assert "the state before it is back" in result.output
    assert shell(keyed, f"cat {DROP_IN}") == before
    shell(keyed, f"chmod 700 /root/.ssh; rm /etc/ssh/sshd_config.d/01-lax.conf; {RELOAD}")


def test_lock_outs_are_refused_before_anything_is_touched(keyed: LabHost) -> None:
    before = fingerprint(keyed, "/etc", "/var/lib/hostwright")
    for arguments, message in (
        ("permit_root_login='no'", "this login is root"),
        ("allow_users=['deploy']", "would lock out"),
        ("permit_root_login='maybe'", "'maybe' is none of no,"),
        ("login_grace_time=0", "login_grace_time 0 is out of range"),
    ):
        result = run(keyed, deploy(arguments))
        assert result.rc != 0, arguments
        assert message in result.output
    assert fingerprint(keyed, "/etc", "/var/lib/hostwright") == before


def test_user_without_key_is_not_locked_out(keyed: LabHost, tmp_path: Path) -> None:
    # admin gets in with a key that sshd takes from elsewhere, so its own authorized_keys can be empty.
    shell(keyed, "useradd -m keyless && echo 'keyless ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/keyless "
                 "&& install -D -m 644 /root/.ssh/authorized_keys /etc/ssh/extra/keyless "
                 "&& printf 'AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/extra/%%u\\n' "
                 ">/etc/ssh/sshd_config.d/02-extra.conf && " + RELOAD)  # fmt: skip
    admin = replace(keyed, user="keyless")
    assert run(admin, deploy("permit_root_login='prohibit-password'"), "--sudo").ok().changed == []
    assert run(admin, deploy("max_auth_tries=3"), "--sudo").ok().changed == ["Keys only"]
    # Only now the key goes, while a login of this user is still there to ask for it.
    process = start(
        admin,
        "from pyinfra.operations import server\n"
        "server.shell(commands=['rm /etc/ssh/extra/keyless'])\n" + deploy("max_auth_tries=2"),
        "--sudo", directory=tmp_path,
    )  # fmt: skip
    output = "".join(process.communicate(timeout=600))
    assert process.returncode != 0
    assert "keyless has no authorized key on the host" in output
    assert "maxauthtries 3" in shell(keyed, "sshd -T")
    shell(keyed, f"rm /etc/ssh/sshd_config.d/02-extra.conf && {RELOAD}")


def test_main_config_without_include_is_refused(keyed: LabHost) -> None:
    shell(keyed, "sed -i.kept '1i PasswordAuthentication yes' /etc/ssh/sshd_config")
    result = run(keyed, deploy())
    shell(keyed, "mv /etc/ssh/sshd_config.kept /etc/ssh/sshd_config")
    assert result.rc != 0
    assert "put the line 'Include /etc/ssh/sshd_config.d/*.conf' at its top" in result.output
