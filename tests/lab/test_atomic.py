"""`operations/atomic.py` on real hosts."""

from __future__ import annotations

import pytest

from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh

pytestmark = pytest.mark.images("bookworm")
DEPLOY = """
from operations import atomic
atomic.file(name="Write it", path="/etc/hostwright-test.conf", content={content!r}, mode="0640", group="adm",
            validate={validate!r})
"""


def deploy(content: str, validate: str | None = None) -> str:
    return DEPLOY.format(content=content, validate=validate)


def test_create_again_update(lab_host: LabHost) -> None:
    first = run(lab_host, deploy("one\n")).ok()
    assert first.changed == ["Write it"]
    assert shell(lab_host, "cat /etc/hostwright-test.conf") == "one"
    assert shell(lab_host, "stat -c '%U %G %a' /etc/hostwright-test.conf") == "root adm 640"

    before = fingerprint(lab_host)
    assert "/etc/hostwright-test.conf" in before
    assert run(lab_host, deploy("one\n")).ok().changed == []
    assert fingerprint(lab_host) == before

    run(lab_host, deploy("two: 'quotes' $HOME\n")).ok()
    assert shell(lab_host, "cat /etc/hostwright-test.conf") == "two: 'quotes' $HOME"
    shell(lab_host, "chmod 644 /etc/hostwright-test.conf")
    run(lab_host, deploy("two: 'quotes' $HOME\n")).ok()
    assert shell(lab_host, "stat -c '%U %G %a' /etc/hostwright-test.conf") == "root adm 640"


def test_refused_content_changes_nothing(lab_host: LabHost) -> None:
    run(lab_host, deploy("good\n")).ok()
    before = fingerprint(lab_host, "/etc")
    result = run(lab_host, deploy("bad\n", validate='grep -q good "$FILE"'))
    assert result.rc != 0
    assert "the new content was refused, nothing was changed" in result.output
    after = fingerprint(lab_host, "/etc")
    before.pop("/etc"), after.pop("/etc")  # the directory held the new content for a moment
    assert after == before


def test_cut_off_write_leaves_nothing_behind(lab_host: LabHost) -> None:
    run(lab_host, deploy("good\n")).ok()
    shell(lab_host, "touch /etc/.hostwright-test.conf.abc123.dpkg-new")
    assert run(lab_host, deploy("good\n")).ok().changed == []
    run(lab_host, deploy("better\n")).ok()
    assert ssh(lab_host, "ls /etc/.hostwright-test.conf.*").returncode != 0


def test_bad_input(lab_host: LabHost) -> None:
    result = run(lab_host, deploy("x\n").replace("/etc/hostwright-test.conf", "etc/relative"))
    assert result.rc != 0
    assert "'etc/relative' is relative" in result.output
    run(lab_host, deploy("x\n")).ok()
    shell(lab_host, "ln -sfn /etc/passwd /etc/hostwright-link")
    result = run(lab_host, deploy("x\n").replace("/etc/hostwright-test.conf", "/etc/hostwright-link"))
    assert result.rc != 0
    assert "is a symbolic link" in result.output
    assert shell(lab_host, "head -c4 /etc/passwd") == "root"
