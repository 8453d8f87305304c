"""The user data of a new droplet, checked by cloud-init's own program."""

from __future__ import annotations

from pathlib import Path

import pytest

from droplets import user_data
from lab import cloud_init
from lab.errors import LabError


@pytest.mark.parametrize("login", ["root", "ops"])
def test_cloud_init_finds_it_valid(tmp_path: Path, login: str) -> None:
    file = tmp_path / "user-data.yaml"
    file.write_text(user_data.rendered(login, ['ssh-ed25519 AAAA a: "b" <#c>']))
    assert "Valid cloud-config" in cloud_init.check(file)


def test_cloud_init_finds_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "user-data.yaml"
    file.write_text(user_data.rendered("root", []).replace("package_update: true", "package_update: perhaps"))
    with pytest.raises(LabError, match="package_update"):
        cloud_init.check(file)
