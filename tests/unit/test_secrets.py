"""Secrets: the programs that run on the host, run here; and where given values come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.secrets import ITERATIONS, digest
from settings import SettingsError, load
from settings.app import App
from settings.secret_values import given as given_secrets

PROGRAMS = Path(__file__).resolve().parents[2] / "files" / "host"


def program(name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(PROGRAMS / name), *arguments],
        input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip


def stored(directory: Path, **wanted: Any) -> None:
    done = program(
        "secrets-write.py", str(directory), stdin=json.dumps({"given": {}, "generated": {}, **wanted})
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_generated_once_and_kept(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    stored(directory, generated={"db": 40})
    first = (directory / "db").read_text()
    assert len(first) == 40
    assert (directory / "db").stat().st_mode & 0o7777 == 0o600
    assert directory.stat().st_mode & 0o7777 == 0o700
    stored(directory, generated={"db": 60, "other": 20})
    assert (directory / "db").read_text() == first
    assert len((directory / "other").read_text()) == 20


def test_an_empty_or_open_secret_is_mended(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "open").write_text("value")
    (tmp_path / "open").chmod(0o644)
    stored(tmp_path, generated={"empty": 30, "open": 30})
    assert len((tmp_path / "empty").read_text()) == 30
    assert (tmp_path / "open").read_text() == "value"
    assert (tmp_path / "open").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n"])
def test_what_counts_as_empty_is_made_anew(tmp_path: Path, blank: str) -> None:
    (tmp_path / "db").write_bytes(blank.encode())
    (tmp_path / "db").chmod(0o600)
    done = program("secrets-digests.py", str(tmp_path), str(tmp_path), "1")
    assert json.loads(done.stdout)["db"]["empty"] is True
    stored(tmp_path, generated={"db": 30})
    done = program("secrets-digests.py", str(tmp_path), str(tmp_path), "1")
    assert json.loads(done.stdout)["db"]["empty"] is False


def test_given_values_are_replaced_and_leftovers_removed(tmp_path: Path) -> None:
    (tmp_path / ".key.abcd").write_text("half")
    stored(tmp_path, given={"key": "one"})
    stored(tmp_path, given={"key": "two"})
    assert (tmp_path / "key").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_cut_off_input_changes_nothing(tmp_path: Path) -> None:
    done = program("secrets-write.py", str(tmp_path), stdin='{"given": {"key": "hun')
    assert done.returncode == 1
    assert "arrived incomplete" in done.stderr
    assert "hun" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_digests_match_and_hide(tmp_path: Path) -> None:
    stored(tmp_path, given={"key": "correct horse"})
    done = program("secrets-digests.py", str(tmp_path), str(tmp_path), str(ITERATIONS), "key")
    fields = json.loads(done.stdout)["key"]
    assert fields["digest"] == digest("correct horse", str(tmp_path))
    assert fields["digest"] != digest("correct horse", "/elsewhere")
    assert "horse" not in done.stdout
    done = program("secrets-digests.py", str(tmp_path), str(tmp_path), str(ITERATIONS), "other")
    assert json.loads(done.stdout)["key"]["digest"] == ""


def env(action: str, path: Path, secrets: Path, variables: list[list[str]], mode: str = "0600") -> str:
    done = program(
        "secrets-env.py", action, str(path), "root", "root", mode, str(secrets), json.dumps(variables)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_env_file_is_written_once(tmp_path: Path) -> None:
    path, secrets = tmp_path / "env", tmp_path / "secrets"
    variables = [["A", "text", "1"], ["B", "secret", "db"]]
    assert env("check", path, secrets, variables) == "absent"
    stored(secrets, given={"db": 'it\'s $HOME "now"'})
    assert env("check", path, secrets, variables) == "absent"
    assert env("write", path, secrets, variables) == ""
    assert path.stat().st_mode & 0o7777 == 0o600
    assert env("check", path, secrets, variables) == "same"
    assert env("check", path, secrets, [["A", "text", "2"], variables[1]]) == "differs"
    assert env("check", path, secrets, variables, mode="0640") == "differs"
    stored(secrets, given={"db": "changed"})
    assert env("check", path, secrets, variables) == "differs"


def test_a_carriage_return_is_kept_and_settles(tmp_path: Path) -> None:
    path, secrets = tmp_path / "env", tmp_path / "secrets"
    stored(secrets, given={"db": "one\r\ntwo\r"})
    variables = [["A", "text", "a\rb"], ["B", "secret", "db"]]
    env("write", path, secrets, variables)
    assert path.read_bytes().endswith(b"A='a\rb'\nB='one\r\ntwo\r'\n")
    assert env("check", path, secrets, variables) == "same"


def test_env_file_without_its_secret_is_an_error_on_write(tmp_path: Path) -> None:
    done = program(
        "secrets-env.py",
        "write",
        str(tmp_path / "env"),
        "root",
        "root",
        "0600",
        str(tmp_path),
        '[["B", "secret", "db"]]',
    )
    assert done.returncode == 1
    assert "declare it under 'secrets'" in done.stderr
    assert not (tmp_path / "env").exists()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_sh_reads_back_every_value(value: str) -> None:
    namespace: dict[str, Any] = {}
    source = (PROGRAMS / "secrets-env.py").read_text().removesuffix("main()\n")
    exec(source, namespace)
    line = f'VALUE={namespace["quoted"](value)}\nprintf %s "$VALUE"\n'
    read = subprocess.run(
        ["sh", "-c", line], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    assert read.stdout.decode() == value


def shop(**secrets: Any) -> App:
    app = {"source": "shop", "services": {"web": {"command": "python"}}, "secrets": secrets}
    return load({"environment": "lab", "apps": {"shop": app}}, "test").all_apps()[0]


def test_given_by_a_variable() -> None:
    app = shop(key={"source": "environment", "variable": "SHOP_KEY"}, other={"source": "generated"})
    values = given_secrets(app, Path("/"), {"SHOP_KEY": "hunter2"})
    assert {key: value.get_secret_value() for key, value in values.items()} == {"key": "hunter2"}
    assert "hunter2" not in repr(values)


def test_given_by_an_age_file(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "age.txt").write_text(f"# created\n{identity}\n")
    text = b"key: hunter2\nnumber: 5\n"
    (tmp_path / "lab.age").write_bytes(pyrage.encrypt(text, [identity.to_public()]))
    environ = {"HOSTWRIGHT_AGE_IDENTITY": str(tmp_path / "age.txt")}
    values = given_secrets(shop(key={"source": "age", "file": "lab.age"}), tmp_path, environ)
    assert values["key"].get_secret_value() == "hunter2"
    with pytest.raises(SettingsError, match="has no text under 'absent'"):
        given_secrets(shop(absent={"source": "age", "file": "lab.age"}), tmp_path, environ)
    (tmp_path / "other.txt").write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with pytest.raises(SettingsError, match="cannot be decrypted"):
        given_secrets(
            shop(key={"source": "age", "file": "lab.age"}),
            tmp_path,
            {"HOSTWRIGHT_AGE_IDENTITY": str(tmp_path / "other.txt")},
        )
