"""The pure part of `operations/packages.py`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from pyinfra.api import OperationError

from facts.packages import Packages, Ready, Unit
from facts.script import text
from operations.packages import check_names, old


@pytest.mark.parametrize("package", ["g++", "libc6:amd64", "python3-venv", "libstdc++6", "2to3"])
def test_names(package: str) -> None:
    check_names("packages.installed", [package])


@pytest.mark.parametrize("package", ["-o=x", "htop=1", "Htop", "a b", "htop;", "", "x", "htop\n", "../x.deb"])
def test_bad_names_are_named(package: str) -> None:
    with pytest.raises(OperationError) as caught:
        check_names("packages.installed", ["htop", package])
    assert repr(package) in str(caught.value)


def test_one_text_and_nothing_are_refused() -> None:
    with pytest.raises(OperationError, match=r"write a list: \['htop'\]"):
        check_names("packages.installed", "htop")
    with pytest.raises(OperationError, match="packages is empty"):
        check_names("packages.installed", [])


def test_age() -> None:
    assert old(None, 10)
    assert old(11, 10)
    assert not old(10, 10)


def test_facts() -> None:
    assert Packages().process(["installed htop", "lists 12", "pending bash"]) == {
        "installed": ["htop"], "lists_age": 12, "pending": ["bash"],
    }  # fmt: skip
    assert Packages().process(["installed htop"])["lists_age"] is None
    assert Ready().process(["waits cloud-init", "interrupted tree"]) == {
        "waits": ["cloud-init"], "interrupted": ["tree"],
    }  # fmt: skip
    assert Unit().process(["load loaded", "state activating", "used /etc/x y.conf"]) == {
        "masked": False, "known": True, "running": True, "used": ["/etc/x y.conf"],
    }  # fmt: skip


def test_systemd_is_asked_of_a_unit_only_where_that_decides(tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho ActiveState=asked\n")
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "a.conf").touch()

    def said(*patterns: str) -> str:
        words = ["sh", "-c", text("packages-unit.sh"), "packages-unit.sh", "no-such.service", *patterns]
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout

    assert said() == "state asked\n"
    assert said(f"{tmp_path}/*.nothing") == "state asked\n"
    assert said(f"{tmp_path}/*.nothing", f"{tmp_path}/*.conf") == f"used {tmp_path}/a.conf\n"


KNOWN = """ii |bash|
ii |mawk|awk (= 1), other
rc |removed|
ii |libc6|
ii |exim4|mail-transport-agent
"""


def state(tmp_path: Path, *words: str) -> list[str]:
    (tmp_path / "dpkg-query").write_text(
        f"#!/bin/sh\ncat <<'END'\n{KNOWN}END\necho asked >>{tmp_path}/asked\n"
    )
    (tmp_path / "dpkg-query").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", text("packages-state.sh"), "packages-state.sh", *words],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_packages_and_what_they_provide(tmp_path: Path) -> None:
    names = "mail-transport-agent bash removed awk no-such libc"
    found = Packages().process(state(tmp_path, "alone", "no-upgrades", names))
    assert found["installed"] == ["mail-transport-agent", "bash", "awk"]


def test_several_are_answered_as_each_alone_and_asked_once(tmp_path: Path) -> None:
    wanted = ["bash awk", "bash no-such", "", "removed", "libc6"]
    alone = [state(tmp_path, "alone", "no-upgrades", names) for names in wanted]
    (tmp_path / "asked").unlink()
    pairs = [word for names in wanted for word in ("no-upgrades", names)]
    said = [json.loads(line) for line in state(tmp_path, "together", *pairs)]
    assert [out.splitlines() for out, _, _ in said] == alone
    assert [[err, code] for _, err, code in said] == [["", 0]] * len(wanted)
    assert (tmp_path / "asked").read_text() == "asked\n"
    # The lists are looked at only for whoever needs them.
    assert said[0][0] == "installed bash\ninstalled awk\n"
