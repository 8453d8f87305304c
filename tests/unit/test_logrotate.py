"""The rendered logrotate configuration, read by logrotate itself where this machine has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from operations.supervisor_text import render


def text(directory: Path, user: str = "root") -> str:
    return render(
        "logrotate.j2",
        app="shop",
        patterns=f"{directory}/*.log",
        user=user,
        group="root",
        keep=7,
        unit="shop.service",
    )


def check(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(__file__).resolve().parents[2] / "files" / "host" / "logrotate-check.sh"
    return subprocess.run(
        ["sh", str(program)], env={"FILE": str(path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_the_requirements_ask_for() -> None:
    words = {line.strip() for line in text(Path("/opt/shop/logs"), "shop").splitlines()}
    assert {
        "daily", "rotate 7", "compress", "delaycompress", "missingok", "notifempty", "create 0640 shop root",
        "su shop root", "dateext", "sharedscripts",
    } <= words  # fmt: skip
    assert "systemctl kill --signal=USR2 --kill-who=main shop.service" in words
    assert not [word for word in words if "reload" in word and not word.startswith("#")]


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed on this machine")
@pytest.mark.parametrize(
    ("old", "new", "code"), [("daily", "daily", 0), ("daily", "dayly", 1), ("rotate 7", "rotate x", 1)]
)
def test_check_program(tmp_path: Path, old: str, new: str, code: int) -> None:
    path = tmp_path / "shop"
    path.write_text(text(tmp_path).replace(f"    {old}\n", f"    {new}\n"))
    path.chmod(0o644)
    done = check(path)
    assert done.returncode == code
    assert ("error:" in done.stderr) == bool(code)


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed on this machine")
def test_check_program_notices_a_file_that_logrotate_would_ignore(tmp_path: Path) -> None:
    path = tmp_path / "shop"
    path.write_text(text(tmp_path))
    path.chmod(0o666)
    done = check(path)
    assert done.returncode == 1
    assert "writable by group or others" in done.stderr
