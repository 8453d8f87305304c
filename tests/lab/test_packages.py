"""
`operations/packages.py` on real hosts, with the real archive.

The waits for a lock and for cloud-init are on Debian 12 alone: they are the project's own program.
"""

from __future__ import annotations

import time

import pytest

from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh

ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
ONE_LOGIN = True
APT_PLACES = ("/etc", "/var/lib/apt/lists", "/var/lib/apt/extended_states", "/var/lib/dpkg")


def deploy(code: str) -> str:
    return f"from operations import packages\npackages.{code}\n"


def installed(host: LabHost, package: str) -> bool:
    return ssh(host, f"dpkg-query -W -f '${{db:Status-Abbrev}}' {package} | grep -q '^ii'").returncode == 0


def test_install_fetches_lists_once(lab_host: LabHost) -> None:
    shell(lab_host, "rm -f /var/lib/apt/lists/*_*")
    code = deploy('installed(name="Install", packages=["htop", "default-mta", "tree"])').replace(
        '"default-mta", ', ""
    )
    assert run(lab_host, code).ok().changed == ["Install"]
    assert installed(lab_host, "htop")
    assert installed(lab_host, "tree")
    before = fingerprint(lab_host, *APT_PLACES)
    assert run(lab_host, code).ok().changed == []
    assert fingerprint(lab_host, *APT_PLACES) == before
    # Fresh lists are not fetched again.
    lists = shell(lab_host, "stat -c %y /var/lib/apt/lists/partial")
    shell(lab_host, "dpkg --purge tree")
    assert run(lab_host, code).ok().changed == ["Install"]
    assert shell(lab_host, "stat -c %y /var/lib/apt/lists/partial") == lists


def test_provided_name_counts_as_installed(lab_host: LabHost) -> None:
    code = deploy('installed(name="Install", packages=["awk", "tree"])')
    run(lab_host, code).ok()
    assert run(lab_host, code).ok().changed == []


def test_unknown_package_installs_nothing(lab_host: LabHost) -> None:
    shell(lab_host, "dpkg --purge tree")
    result = run(lab_host, deploy('installed(packages=["tree", "no-such-package-here"])'))
    assert result.rc != 0
    assert "no-such-package-here" in result.output
    assert "then nothing was installed" in result.output
    assert not installed(lab_host, "tree")
    result = run(lab_host, deploy('installed(packages=["-o=Foo"])'))
    assert result.rc != 0
    assert "'-o=Foo' is no package's name" in result.output


def test_absent(lab_host: LabHost) -> None:
    run(lab_host, deploy('installed(packages=["tree"])')).ok()
    assert run(lab_host, deploy('absent(name="Remove", packages=["tree"])')).ok().changed == ["Remove"]
    assert not installed(lab_host, "tree")
    assert run(lab_host, deploy('absent(name="Remove", packages=["tree"])')).ok().changed == []


def test_upgrade_and_again(lab_host: LabHost) -> None:
    code = deploy('upgraded(name="Upgrade")')
    run(lab_host, code).ok()
    before = fingerprint(lab_host, *APT_PLACES)
    assert run(lab_host, code).ok().changed == []
    assert fingerprint(lab_host, *APT_PLACES) == before


def test_upgrade_takes_what_is_old_and_leaves_what_is_held(lab_host: LabHost) -> None:
    # An older build of htop, made from the installed one: no old version is in the archive.
    shell(lab_host, "rm -rf /tmp/old && mkdir -p /tmp/old/DEBIAN && printf 'Package: htop\\nVersion: 0.1\\n"
                    "Architecture: all\\nMaintainer: test <test@example.org>\\nDescription: old\\n' "
                    ">/tmp/old/DEBIAN/control && dpkg-deb --build /tmp/old /tmp/old.deb "
                    "&& dpkg -i /tmp/old.deb && apt-mark hold htop")  # fmt: skip
    code = deploy('upgraded(name="Upgrade")')
    assert run(lab_host, code).ok().changed == []
    shell(lab_host, "apt-mark unhold htop")
    assert run(lab_host, code).ok().changed == ["Upgrade"]
    assert shell(lab_host, "dpkg-query -W -f '${Version}' htop") != "0.1"
    assert run(lab_host, code).ok().changed == []


def test_old_lists_and_changed_sources_are_fetched(lab_host: LabHost) -> None:
    code = deploy('upgraded(name="Upgrade")')
    shell(lab_host, "touch -d '2 days ago' /var/lib/apt/lists")
    assert run(lab_host, code).ok().changed == ["Upgrade"]
    assert run(lab_host, code).ok().changed == []
    shell(lab_host, "sleep 1.1; touch /etc/apt/sources.list.d/new.list")
    assert run(lab_host, code).ok().changed == ["Upgrade"]
    assert run(lab_host, code).ok().changed == []
    shell(lab_host, "echo 'deb http://localhost:9/debian nowhere main' >/etc/apt/sources.list.d/new.list")
    result = run(lab_host, code)
    assert result.rc != 0
    assert "the package lists could not be fetched" in result.output
    shell(lab_host, "rm /etc/apt/sources.list.d/new.list; touch -d yesterday /etc/apt/sources.list.d")


@ON_ONE
def test_ready_waits_for_the_lock(lab_host: LabHost) -> None:
    code = deploy('ready(name="Ready", timeout=60)')
    assert run(lab_host, code).ok().changed == []
    hold = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); "
        "fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(15)"
    )
    shell(lab_host, f'systemd-run --quiet python3 -c "{hold}"')
    time.sleep(1)
    began = time.monotonic()
    assert run(lab_host, code).ok().changed == ["Ready"]
    assert time.monotonic() - began > 8
    shell(lab_host, f'systemd-run --quiet python3 -c "{hold}"')
    time.sleep(1)
    result = run(lab_host, deploy("ready(timeout=2)"))
    assert result.rc != 0
    assert "/var/lib/dpkg/lock-frontend is still locked after 2 s" in result.output


def test_ready_repairs_an_interrupted_installation(lab_host: LabHost) -> None:
    run(lab_host, deploy('ready(name="Ready", timeout=60)')).ok()
    run(lab_host, deploy('absent(packages=["tree"])')).ok()
    shell(lab_host, "cd /tmp && apt-get download -q tree && dpkg --unpack ./tree_*.deb && rm tree_*.deb")
    assert not installed(lab_host, "tree")
    assert run(lab_host, deploy('ready(name="Ready")')).ok().changed == ["Ready"]
    assert installed(lab_host, "tree")
    assert run(lab_host, deploy('ready(name="Ready")')).ok().changed == []


CLOUD_INIT = """#!/bin/sh
case "$*" in
"status --wait") while [ ! -e /tmp/booted ]; do sleep 0.2; done; echo; exit {rc} ;;
status) if [ -e /tmp/booted ]; then echo status: done; else echo status: running; fi ;;
esac
"""


@ON_ONE
def test_ready_waits_for_cloud_init(lab_host: LabHost) -> None:
    """A stand-in that answers as cloud-init does: no image of the lab carries the real one."""
    for rc, ok in ((2, True), (1, False)):
        shell(
            lab_host,
            "cat >/usr/local/bin/cloud-init && chmod +x /usr/local/bin/cloud-init && rm -f /tmp/booted && "
            "systemd-run --quiet --on-active=6 --timer-property=AccuracySec=100ms touch /tmp/booted",
            stdin=CLOUD_INIT.format(rc=rc),
        )
        result = run(lab_host, deploy('ready(name="Ready", timeout=60)'))
        assert (result.rc == 0) == ok
        assert ssh(lab_host, "ls /tmp/booted").returncode == 0, "it did not wait"
        if not ok:
            assert "cloud-init failed (exit 1)" in result.output
    shell(lab_host, "rm -f /tmp/booted")
    result = run(lab_host, deploy("ready(timeout=2)"))
    assert "cloud-init is still at work after 2 s" in result.output
    shell(lab_host, "rm /usr/local/bin/cloud-init")


def test_masked_service_never_starts(lab_host: LabHost) -> None:
    code = """from operations import packages
packages.masked(name="Mask", unit="supervisor.service", used_by=["/etc/supervisor/conf.d/*.conf"])
packages.installed(name="Install", packages=["supervisor"])
"""
    assert run(lab_host, code).ok().changed == ["Mask", "Install"]
    assert shell(lab_host, "systemctl is-active supervisor || [ $? -le 4 ]") == "inactive"
    assert "supervisord" not in shell(lab_host, "ps -e -o comm=")
    assert shell(lab_host, "journalctl -u supervisor -q | wc -l") == "0", "it was started for a moment"
    before = fingerprint(lab_host, "/etc")
    assert run(lab_host, code).ok().changed == []
    assert fingerprint(lab_host, "/etc") == before

    # In use by somebody: left alone, running or not.
    shell(lab_host, "systemctl unmask supervisor && printf '[program:theirs]\\ncommand=sleep 1000\\n' "
                    ">/etc/supervisor/conf.d/theirs.conf && systemctl start supervisor")  # fmt: skip
    assert run(lab_host, code).ok().changed == []
    assert shell(lab_host, "systemctl is-active supervisor") == "active"
    # Running for nobody: stopped.
    shell(lab_host, "rm /etc/supervisor/conf.d/theirs.conf")
    assert run(lab_host, code).ok().changed == ["Mask"]
    assert shell(lab_host, "systemctl is-active supervisor || [ $? -le 4 ]") == "inactive"
