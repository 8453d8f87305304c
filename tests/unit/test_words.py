"""Which commands are plain words, and that those mean to a shell what they are taken for."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.words import MISSING, plain, split

ARGUMENT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def asked(inner: str) -> str:
    """Return a command as pyinfra writes a fact's."""
    return f"sh -c {shlex.quote(inner)}"


@given(st.lists(ARGUMENT, min_size=1, max_size=5))
def test_what_is_quoted_comes_out_as_it_was(arguments: list[str]) -> None:
    found = plain(asked(shlex.join(["sh", "-c", *arguments])))
    assert found == {"words": ["sh", "-c", *arguments], "needs": None}


@given(st.text(st.sampled_from("ab '\"\\$`|&;<>(){}*?[]~#=%!\n\t-"), max_size=12))
def test_what_is_split_is_what_a_shell_splits(text: str) -> None:
    words = split(text)
    if words is None:
        return
    done = subprocess.run(
        ["sh", "-c", f"exec printf '%s\\0' {text}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\0")[:-1] == (words or [""])


@pytest.mark.parametrize(
    "inner",
    [
        "sh -c x; reboot", "sh -c x | cat", "sh -c x && y", "sh -c $HOME", "sh -c `id`", 'sh -c "$HOME"',
        "sh -c *", "sh -c ~", "sh -c x >/etc/motd", "sh -c x &", "sh -c x\nreboot", "PATH=/tmp sh -c x",
        "sh -c 'x", "sh -c x#y", "cd /tmp", "exec sh", "if true; then x; fi", "! sh -c x", "{ sh; }",
        "sudo sh -c x", "", "'sh' \\x",
    ],
)  # fmt: skip
def test_what_a_shell_has_to_do_with_is_left_to_one(inner: str) -> None:
    assert plain(asked(inner)) == {"words": ["sh", "-c", inner], "needs": None}


@pytest.mark.parametrize(
    "command",
    ["ls", "sh -c", "sh -c a b", "sudo -n sh -c 'sh -c x'", "bash -c 'sh -c x'", "sh -c 'sh -c x' ; reboot"],
)
def test_what_is_not_as_pyinfra_writes_it_is_left_alone(command: str) -> None:
    assert plain(command) is None


def test_a_fact_that_needs_a_program() -> None:
    inner = (
        f"if command -v python3 >/dev/null 2>&1; then ( python3 -I -c 'x; y' a ); else echo '{MISSING}'; fi"
    )
    assert plain(asked(inner)) == {"words": ["python3", "-I", "-c", "x; y", "a"], "needs": "python3"}
    piped = inner.replace("'x; y'", "'x; y' | z")
    assert plain(asked(piped)) == {"words": ["sh", "-c", piped], "needs": None}
    more = f"{inner}; reboot"
    assert plain(asked(more)) == {"words": ["sh", "-c", more], "needs": None}
