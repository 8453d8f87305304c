"""JSON files with secrets: what may be declared, what the host writes, and the example beside them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import app_source
from settings import load
from settings.app import App
from settings.errors import SettingsError
from settings.secret_files import keys_of

PROGRAM = Path(__file__).resolve().parents[2] / "files" / "host" / "secrets-env.py"
CONTENT = {"host": "127.0.0.1", "port": 5432, "tls": None, "inner": {"password": {"secret": "db"}}}


def app(content: dict[str, Any], **more: Any) -> App:
    shop = {
        "source": "shop",
        "services": {"web": {"command": "python -m shop"}},
        "secrets": {"db": {"source": "generated"}},
        "secret_files": {"db.json": {"content": content, **more}},
    }
    return load({"environment": "one", "apps": {"shop": shop}}, "here").all_apps()[0]


def test_places_and_secrets() -> None:
    made = app(CONTENT)
    assert made.secret_paths == ["/etc/shop/db.json"]
    assert made.secret_files["db.json"].secrets() == ["db"]
    assert keys_of(CONTENT) == {"host", "port", "tls", "inner.password"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "is empty"),
        ({"password": "hunter2-plain"}, "content.password is a secret by its name"),
        ({"inner": {"apiKey": "hunter2-plain"}}, "content.inner.apiKey is a secret by its name"),
        ({"a": {"secret": "other"}}, "secret 'other' is used but not declared"),
        ({"a": {1, 2}}, "is a set"),
        ({1: "a"}, "key"),
    ],
)
def test_refused_without_showing_a_value(content: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        app(content)
    assert "hunter2" not in str(caught.value)


def test_one_name_for_one_file() -> None:
    shop = {
        "source": "shop",
        "services": {"web": {"command": "x"}},
        "secret_files": {"env": {"content": {"a": 1}}},
    }
    with pytest.raises(SettingsError, match=r"'env' is one of ours"):
        load({"environment": "one", "apps": {"shop": shop}}, "here")


def write(action: str, path: Path, content: dict[str, Any]) -> tuple[int, str]:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), action, str(path), user, group, "0600",
         str(path.parent / "secrets"), json.dumps(content)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_written_with_its_secrets_and_then_the_same(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    nasty = "corréct \"h0rse\" \\ 'battery' $HOME\r"
    (tmp_path / "secrets" / "db").write_text(nasty, newline="")
    path = tmp_path / "db.json"
    assert write("check", path, CONTENT) == (0, "absent\n")
    assert write("write", path, CONTENT) == (0, "")
    assert json.loads(path.read_text()) == {**CONTENT, "inner": {"password": nasty}}
    assert path.stat().st_mode & 0o7777 == 0o600
    assert write("check", path, CONTENT) == (0, "same\n")
    assert write("check", path, {**CONTENT, "port": 5433}) == (0, "differs\n")
    path.chmod(0o644)
    assert write("check", path, CONTENT) == (0, "differs\n")


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said = write("write", tmp_path / "db.json", CONTENT)
    assert code == 1
    assert "declare it under 'secrets'" in said
    assert not (tmp_path / "db.json").exists()


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
keys = st.text().filter(lambda key: key != "secret")
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=6,
)


@given(st.dictionaries(keys, json_values, max_size=3))
def test_content_without_secrets_is_written_as_it_is(content: dict[str, Any]) -> None:
    source = PROGRAM.read_text(encoding="utf-8").removesuffix("main()\n")
    program: dict[str, Any] = {}
    exec(compile(source, "secrets-env.py", "exec"), program)
    assert json.loads(program["content"]("/nowhere", content)) == content


@pytest.mark.parametrize(
    ("example", "found"),
    [
        ({"host": "", "port": 1, "tls": None, "inner": {"password": "put it here"}}, []),
        ({"host": "", "port": 1, "inner": {"password": ""}}, ["tls is declared but not in db.example.json"]),
        (
            {**CONTENT, "sslmode": "", "inner": {"password": ""}},
            ["sslmode is in db.example.json but not declared"],
        ),
        ([], ["must hold one JSON object"]),
        (None, ["does not exist"]),
    ],
)
def test_example_names_the_same_keys(tmp_path: Path, example: Any, found: list[str]) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "requirements.txt").write_text(f"six==1 --hash=sha256:{'0' * 64}\n")
    if example is not None:
        (tmp_path / "shop" / "db.example.json").write_text(json.dumps(example))
    said = app_source.findings(app(CONTENT, example="db.example.json"), tmp_path)
    assert len(said) == len(found)
    for line, part in zip(said, found, strict=True):
        assert line.startswith("apps.shop.secret_files.db.json")
        assert part in line
