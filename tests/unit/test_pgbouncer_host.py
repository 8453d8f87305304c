"""files/host/pgbouncer-control.py without a host: what its files ask for, and what it sends back."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "files" / "host" / "pgbouncer-control.py"
VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("pgbouncer_control", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(PROGRAM.parent)
    spec.loader.exec_module(module)
    monkeypatch.setenv("CLUSTER_BIN", "/bin")

    def call(*command: str, **_: Any) -> subprocess.CompletedProcess[str]:
        said = VERIFIER if command[0] == "setpriv" else {"show": "ActiveState=active\nUnitFileState=enabled"}
        text = said if isinstance(said, str) else said[command[1]]
        return subprocess.CompletedProcess(command, 0, f"{text}\n", "")

    monkeypatch.setattr(module, "call", call)
    monkeypatch.setattr(module, "UNITS", tmp_path / "units")
    monkeypatch.setattr(module, "started", lambda _: str(tmp_path / "started"))
    (tmp_path / "units").mkdir()
    return module


@pytest.fixture
def files(program: Any, tmp_path: Path) -> dict[str, Path]:
    """A pool that runs as its files say."""
    made = {"unit": tmp_path / "units" / "p.service", "ini": tmp_path / "ini", "users": tmp_path / "users"}
    for path in made.values():
        path.write_text(path.name)
    made["users"].write_text(f'"shop" "{VERIFIER}"\n')
    record = "".join(f"{program.digest(path)}  {path}\n" for path in made.values())
    (tmp_path / "started").write_text(record)
    return made


def test_nothing_is_due(program: Any, files: dict[str, Path]) -> None:
    assert program.due("p.service", True) == "nothing"


@pytest.mark.parametrize(("changed", "due"), [("ini", "reload"), ("users", "reload"), ("unit", "restart")])
def test_what_changed_says_what_is_due(program: Any, files: dict[str, Path], changed: str, due: str) -> None:
    files[changed].write_text("another")
    assert program.due("p.service", True) == due


def test_a_file_that_went_is_a_change(program: Any, files: dict[str, Path]) -> None:
    files["ini"].unlink()
    assert program.due("p.service", True) == "reload"


def test_without_a_record_it_is_started_again(program: Any, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "started").unlink()
    assert program.due("p.service", True) == "restart"


def test_no_verifier_leaves_the_host(program: Any, files: dict[str, Path]) -> None:
    found = program.state("p.service", str(files["ini"]), str(files["users"]), "shop", VERIFIER)
    assert (found["users"], found["enabled"], found["due"]) == (True, True, "nothing")
    assert "SCRAM" not in json.dumps(found)
    files["users"].write_text('"shop" "another"\n')
    for kept in (VERIFIER, None, "md5" + "0" * 32):
        assert not program.state("p.service", str(files["ini"]), str(files["users"]), "shop", kept)["users"]


def test_names_are_quoted_as_pgbouncer_reads_them(program: Any) -> None:
    assert program.wanted_users('o"k', VERIFIER) == f'"o""k" "{VERIFIER}"\n'


def test_a_role_without_a_password_is_refused(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(program, "call", lambda *_, **__: nothing)
    with pytest.raises(program.RefusedError, match="role shop has no SCRAM password"):
        program.wanted_users("shop", program.kept("shop"))
