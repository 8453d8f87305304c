"""The tunnel: whom it leads to, and how it logs in there; that it leads there is for the lab."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from click.testing import CliRunner

import tunnel
from declared import DeclaredHost
from settings import Settings


def host(name: str, monitoring: dict[str, Any] | None, **data: Any) -> DeclaredHost:
    settings = Settings.model_validate({"environment": "do", "monitoring": monitoring})
    return DeclaredHost(name, data, settings)


ON = host("web-1", {"server": True}, ssh_hostname="203.0.113.7")
OFF, EXPORTERS = host("web-2", None), host("web-3", {"server": False})


def test_hosts_that_run_a_server_are_led_to() -> None:
    assert tunnel.chosen([ON, OFF, EXPORTERS], "inventories/do.py", None) == [ON]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("web-9", "has no host 'web-9'; there are: web-1, web-2"),
        ("web-2", "no Prometheus runs there: set monitoring"),
    ],
)
def test_others_are_refused(name: str, words: str) -> None:
    with pytest.raises(tunnel.TunnelError, match=re.escape(words)):
        tunnel.chosen([ON, OFF], "inventories/do.py", name)


def test_it_listens_here_alone_and_logs_in_as_pyinfra_does() -> None:
    there = host("web-1", {}, ssh_hostname="203.0.113.7", ssh_port=2222, ssh_user="admin", ssh_key="/k")
    words = tunnel.words(there, {"Prometheus": 40001, "Alertmanager": 40002})
    leads = [words[at + 1] for at, word in enumerate(words) if word == "-L"]
    assert leads == ["127.0.0.1:40001:127.0.0.1:9090", "127.0.0.1:40002:127.0.0.1:9093"]
    for option in ("Port=2222", "User=admin", "IdentityFile=/k", "StrictHostKeyChecking=accept-new"):
        assert option in words
    assert words[-2:] == ["--", "203.0.113.7"]


def test_an_inventory_that_is_not_there() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    done = CliRunner().invoke(tunnel.main, ["inventories/prod.py"])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert done.exit_code == 1
    assert "inventory 'inventories/prod.py' does not exist; there are: inventories/do.py" in done.output
