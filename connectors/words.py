"""The commands of facts as plain words, where the shells around them have nothing else to do."""

from __future__ import annotations

import re
from typing import TypedDict

# What pyinfra puts around a fact's command that needs a program: without it that says so, and succeeds.
MISSING = "##PYINFRA_NOCMD##"
NEEDS = re.compile(
    r"if command -v ([a-z0-9]+) >/dev/null 2>&1; then \( (.*) \); else echo '" + MISSING + r"'; fi", re.DOTALL
)
# Characters that mean nothing to a shell, single quotes, and a single quote as shlex.quote writes it.
WORD = re.compile(r"""(?:[A-Za-z0-9_@%+=:,./-]+|'[^']*'|"'")+""")
PIECE = re.compile(r"""'([^']*)'|"(')"|([A-Za-z0-9_@%+=:,./-]+)""")
# Programs, and no words of the shell's own.
PROGRAMS = ("sh", "python3")


class Words(TypedDict):
    """
    A program with its arguments.

    + words: the program's name, to be found as the login's shell finds it, and its arguments
    + needs: a program without which the answer is `MISSING`, None for none
    """

    words: list[str]
    needs: str | None


def split(text: str) -> list[str] | None:
    """Return the words of a line for a shell; None where a shell would do more than take it apart."""
    words: list[str] = []
    at = 0
    while at < len(text):
        found = WORD.match(text, at)
        if found is None or text[found.end() : found.end() + 1] not in ("", " "):
            return None
        words.append("".join("".join(piece) for piece in PIECE.findall(found[0])))
        at = found.end()
        while at < len(text) and text[at] == " ":
            at += 1
    return words


def plain(command: str) -> Words | None:
    """
    Return what a command comes to once the shells that only take quotes off have done so; None where it
    is not as pyinfra writes a fact's.

    + command: as pyinfra writes it: "sh -c" with the fact's own command as one word. Where a shell has more
      to do with that than to take it apart, it is that one shell's, without the login's around it

    Example: `plain("sh -c 'sh -c '\\"'\\"'echo $1'\\"'\\"' x 1'")` gives the words sh, -c, echo $1, x, 1
    """
    outer = split(command)
    if outer is None or len(outer) != 3 or outer[:2] != ["sh", "-c"]:
        return None
    inner, needs = outer[2], None
    alone = Words(words=outer, needs=None)
    found = NEEDS.fullmatch(inner)
    if found is not None:
        needs, inner = found[1], found[2]
    words = split(inner)
    if not words or words[0] not in PROGRAMS:
        return alone
    return Words(words=words, needs=needs)
