"""The rendered logrotate configuration; logrotate itself reads it in tests/lab/test_services.py."""

from __future__ import annotations

from operations.supervisor_text import render


def test_what_the_requirements_ask_for() -> None:
    text = render(
        "logrotate.j2", app="shop", patterns="/opt/shop/logs/*.log", user="shop", group="root", keep=7,
        unit="shop.service",
    )  # fmt: skip
    words = {line.strip() for line in text.splitlines()}
    assert {
        "daily", "rotate 7", "compress", "delaycompress", "missingok", "notifempty", "create 0640 shop root",
        "su shop root", "dateext", "sharedscripts",
    } <= words  # fmt: skip
    assert "systemctl kill --signal=USR2 --kill-who=main shop.service" in words
    assert not [word for word in words if "reload" in word and not word.startswith("#")]
