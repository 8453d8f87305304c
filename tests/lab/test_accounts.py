"""System accounts on real hosts: made, left alone, moved, and joined to a group that is there."""

from __future__ import annotations

import pytest

from tests.lab.playbook import LabHost, fingerprint, run, shell

TEMPLATE = "packages"
pytestmark = pytest.mark.images("bookworm")
DEPLOY = """
from operations import accounts
accounts.system_user(name="shop", user="shop", home="{home}")
accounts.system_user(name="joined", user="joined", home="/opt/joined")
"""


def test_made_again_moved(lab_host: LabHost) -> None:
    shell(lab_host, "groupadd --system joined")
    first = run(lab_host, DEPLOY.format(home="/opt/shop")).ok()
    assert first.changed == ["shop", "joined"]
    entry = shell(lab_host, "getent passwd shop").split(":")
    assert int(entry[2]) < 1000
    assert entry[5:] == ["/opt/shop", "/usr/sbin/nologin"]
    assert shell(lab_host, "id -gn shop; id -gn joined") == "shop\njoined"
    assert shell(lab_host, "ls /opt") == ""

    before = fingerprint(lab_host, "/etc")
    again = run(lab_host, DEPLOY.format(home="/opt/shop")).ok()
    assert again.changed == []
    assert fingerprint(lab_host, "/etc") == before

    shell(lab_host, "usermod --shell /bin/sh joined")
    moved = run(lab_host, DEPLOY.format(home="/srv/shop")).ok()
    assert moved.changed == ["shop", "joined"]
    assert shell(lab_host, "getent passwd shop joined | cut -d: -f6-") == (
        "/srv/shop:/usr/sbin/nologin\n/opt/joined:/usr/sbin/nologin"
    )
