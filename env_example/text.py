"""The text of an example: what is declared, with the comments and the values that people have given it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from settings import SecretReference

ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(.*?)[ \t]*$")
# What stands for a secret without being one.
PLACEHOLDER = re.compile(
    r"(?i)['\"]?(<[^>]*>|x{3,}|\*{3,}|\.{3}|change[-_ ]?me.*|(your|the|a)[-_ ].*|)['\"]?"
)
NEW = "# What each is for is not said yet.\n"


class Line(NamedTuple):
    """One variable of an example: its name, its value, the whole line, and the lines above it."""

    name: str
    value: str
    text: str
    above: tuple[str, ...]


def read(text: str) -> tuple[list[Line], tuple[str, ...]]:
    """Return the variables of an example in order, and the lines after the last."""
    found: list[Line] = []
    above: list[str] = []
    for line in text.splitlines():
        match = ASSIGNMENT.match(line)
        if match is None:
            above.append(line)
            continue
        found.append(Line(match[1], match[2], line, tuple(above)))
        above = []
    return found, tuple(above)


def findings(text: str, variables: Mapping[str, str | SecretReference]) -> list[str]:
    """
    Return what is wrong with an example, each with what to do.

    + text: of the example
    + variables: declared ones, name to value

    Example: `findings("A=1\\n", {"B": "1"})`
    """
    lines, _ = read(text)
    names = [line.name for line in lines]
    return [
        *(f"{name} is declared but not in it; add it there" for name in sorted({*variables} - {*names})),
        *(f"{name} is in it but not declared; declare it" for name in sorted({*names} - {*variables})),
        *(f"{name} is in it twice; remove one" for name in sorted(set(names)) if names.count(name) > 1),
        *(
            f"{line.name} is a secret and has a value there; if it is a real one, it is known: change it. "
            "Leave it empty"
            for line in lines
            if isinstance(variables.get(line.name), SecretReference) and not PLACEHOLDER.fullmatch(line.value)
        ),
    ]


def written(text: str, variables: Mapping[str, str | SecretReference]) -> str:
    """
    Return an example with exactly the declared variables.

    + text: of the one that is there, "" for none
    + variables: declared ones, name to value

    Comments, order and values of what is declared stay as they are. What is declared and not there comes at
    the end with its declared value, a secret with none. What is not declared goes, and its own comments with
    it. Run again, nothing changes.
    """
    lines, below = read(text)
    kept: list[str] = []
    seen: set[str] = set()
    orphaned: tuple[str, ...] = ()
    for line in lines:
        if line.name not in variables or line.name in seen:
            # A blank line, or what stands before one, leads to more than this variable.
            orphaned += _of_more(line.above)
            continue
        seen.add(line.name)
        hidden = isinstance(variables[line.name], SecretReference) and not PLACEHOLDER.fullmatch(line.value)
        kept += [*orphaned, *line.above, f"{line.name}=" if hidden else line.text]
        orphaned = ()
    kept += [*orphaned, *below]
    new = [name for name in variables if name not in seen]
    if new:
        kept += ["", NEW.rstrip()] if kept and text.strip() else []
        kept += [f"{name}={_value(variables[name])}" for name in new]
    return "\n".join(kept).strip("\n") + "\n"


def _of_more(above: tuple[str, ...]) -> tuple[str, ...]:
    last = max((number for number, line in enumerate(above) if not line.strip()), default=-1)
    return above[: last + 1]


def _value(declared: str | SecretReference) -> str:
    if isinstance(declared, SecretReference):
        return ""
    plain = re.fullmatch(r"[A-Za-z0-9_@%+:,./-]*", declared)
    return declared if plain else "'" + declared.replace("'", "'\"'\"'") + "'"
