"""`facts/script.py`: what is sent, and that nothing of the arguments is taken for shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facts.script
from facts.script import HOST_PROGRAMS, script

NO_NUL = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Two programs that print their arguments, instead of those of the project."""
    directory = tmp_path_factory.mktemp("programs")
    (directory / "say.sh").write_text(
        'for word in "$@"; do printf "%s\\0" "$word"; done; cat\n', encoding="utf-8"
    )
    (directory / "say.py").write_text(
        "import os, sys\nfor word in sys.argv[1:]: sys.stdout.buffer.write(os.fsencode(word) + b'\\0')\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts.script, "HOST_PROGRAMS", directory)
        facts.script.text.cache_clear()
        yield
    facts.script.text.cache_clear()


def words(program: str, *arguments: str | int) -> list[str]:
    command = script(program, *arguments).get_raw_value()
    done = subprocess.run(["sh", "-c", command], input=b"", capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=25, deadline=None)
@given(st.lists(NO_NUL, max_size=4))
def test_arguments_arrive_as_they_are_in_sh(arguments: list[str]) -> None:
    assert words("say.sh", *arguments) == arguments


@settings(max_examples=10, deadline=None)
@given(st.lists(NO_NUL, max_size=4))
def test_arguments_arrive_as_they_are_in_python(arguments: list[str]) -> None:
    assert words("say.py", *arguments) == arguments


def test_numbers_are_arguments_too() -> None:
    assert words("say.sh", 5, "x") == ["5", "x"]


def test_stdin_is_not_in_the_command() -> None:
    command = script("say.sh", "x", stdin="hush")
    assert "hush" not in command.get_raw_value()
    assert command.connector_arguments["_stdin"] == "hush"


def test_unknown_programs() -> None:
    with pytest.raises(ValueError, match="ends neither in"):
        script("say.rb")
    with pytest.raises(FileNotFoundError):
        script("nothing.sh")


@pytest.mark.parametrize(
    "program", sorted(Path(HOST_PROGRAMS).glob("*.sh"), key=str), ids=lambda path: path.name
)
def test_every_shell_program_parses(program: Path) -> None:
    done = subprocess.run(["sh", "-n", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "set -eu" in program.read_text(encoding="utf-8")
