"""The example of an environment file is written from what is declared, and what the code reads is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import artefact
from env_example import reads, text
from settings import SecretReference, Settings
from settings.app import App
from tests.lab.project import copy

SECRET = SecretReference(secret="db")
DECLARED: dict[str, str | SecretReference] = {"A_PORT": "80", "A_PASS": SECRET, "A_WORDS": "it's two"}


def app(prefix: str = "A_", **fields: object) -> App:
    shop = {"source": "shop", "prefix": prefix, "services": {"web": {"command": "x"}}, **fields}
    return Settings.model_validate({"environment": "lab", "apps": {"shop": shop}}).all_apps()[0]


def test_a_new_one_loads_in_a_shell(tmp_path: Path) -> None:
    made = text.written("", DECLARED)
    assert text.findings(made, DECLARED) == []
    (tmp_path / "env").write_text(made)
    script = '. ./env; echo "$A_PORT-$A_PASS-$A_WORDS"'
    said = subprocess.check_output(["sh", "-c", script], cwd=tmp_path, text=True)
    assert said == "80--it's two\n"


def test_what_people_wrote_stays() -> None:
    before = (
        "# All.\n\n# The port.\nexport A_PORT=8080\n# Gone soon.\nA_OLD=1\nA_PASS=hunter2\n\n# The end.\n"
    )
    after = text.written(before, DECLARED)
    assert after.startswith("# All.\n\n# The port.\nexport A_PORT=8080\nA_PASS=\n\n# The end.\n")
    assert "hunter2" not in after
    assert "Gone soon" not in after
    assert text.findings(after, DECLARED) == []
    assert text.written(after, DECLARED) == after


def test_the_head_stays_where_the_first_variable_goes() -> None:
    assert text.written("# Head.\n\n# Old.\nA_OLD=1\nA_PORT=1\n", {"A_PORT": "1"}) == "# Head.\n\nA_PORT=1\n"


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ("A_PORT=1\nA_PASS=\n", "A_WORDS is declared but not in it; add it there"),
        ("A_PORT=1\nA_PASS=\nA_WORDS=\nA_X=\n", "A_X is in it but not declared; declare it"),
        ("A_PORT=1\nA_PORT=1\nA_PASS=\nA_WORDS=\n", "A_PORT is in it twice; remove one"),
        ("A_PORT=1\nA_PASS=hunter2\nA_WORDS=\n", "A_PASS is a secret and has a value there"),
    ],
)
def test_findings(example: str, said: str) -> None:
    (finding,) = text.findings(example, DECLARED)
    assert finding.startswith(said)
    assert "hunter2" not in finding


@pytest.mark.parametrize("value", ["", "changeme", "<your password>", "xxxx", "...", "your-password-here"])
def test_placeholders_are_no_secrets(value: str) -> None:
    assert text.findings(f"A_PASS={value}\n", {"A_PASS": SECRET}) == []


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("import os\nos.environ['A_X']", [("A_X", 2, True)]),
        ("import os\nos.environ['A_X'] = '1'", []),
        ("from os import environ\nenviron.get('A_X', '')", [("A_X", 2, False)]),
        ("import os\nos.getenv('A_X')", [("A_X", 2, False)]),
        ("NAME = 'A_X'\ndef f(env): return env[NAME]", [("A_X", 2, True)]),
        ("import os\nif 'A_X' in os.environ:\n    os.environ['A_X']", [("A_X", 3, False)]),
        ("import os\nos.environ.pop('A_X')", [("A_X", 2, True)]),
        ("import os\nos.environ['A_' + name]", []),
        ("'A_X is read from os.environ[\"A_X\"]'", []),
        ("no python at all", []),
    ],
)
def test_what_a_program_reads(program: str, found: list[tuple[str, int, bool]]) -> None:
    assert reads.program(program) == found


def test_what_nothing_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "shop"
    (source / "tests").mkdir(parents=True)
    (source / "tests" / "test_a.py").write_text("import os\nos.environ['A_TEST']\n")
    (source / "main.py").write_text(
        "import os\nos.environ['A_KNOWN'], os.environ['A_NEW'], os.getenv('A_MAY'), os.environ['PATH']\n"
    )
    archive = artefact.build(source)
    for _ in range(2):  # found, and then as it was kept
        mine = app(variables={"A_KNOWN": "1"})
        assert [one.name for one in reads.undeclared(mine, source, archive)] == ["A_NEW", "A_MAY"]
        assert reads.findings(mine, source, archive) == [
            "apps.shop.variables: main.py:2 needs A_NEW, which is not declared; "
            "declare it, or read it with a default"
        ]
    assert reads.undeclared(app(prefix=""), source, archive) == []


def test_the_command(tmp_path: Path) -> None:
    """Checked, written, checked again; and names that nothing declares."""
    project = copy(tmp_path)
    example = project / "examples" / "rec_io" / ".env.example"
    whole = example.read_text()
    example.write_text(
        whole.replace("REC_MAIN_PORT=3000\n", "").replace("REC_DB_PASS=", "REC_DB_PASS=hunter2")
    )

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "env_example", *arguments],
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, said = run("--check")
    assert code == 1
    assert "REC_MAIN_PORT is declared but not in it" in said
    assert "REC_DB_PASS is a secret" in said
    assert "hunter2" not in said
    assert run("rec_io") == (0, "examples/rec_io/.env.example: written\n")
    assert "REC_DB_PASS=\n" in example.read_text()
    assert example.read_text().endswith("REC_MAIN_PORT=3000\n")
    assert run("rec_io", "--check") == (0, "")
    code, said = run("rec_oi")
    assert code == 2
    assert "did you mean rec_io?" in said
