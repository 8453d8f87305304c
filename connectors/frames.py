"""What goes over an open channel, as `files/host/command-runner.py` at its other end has it: frames."""

from __future__ import annotations

import json
import struct
from functools import cache

from connectors.words import Words, plain

HEADER = struct.Struct(">IBI")
RUN, READ, DROP = 1, 2, 3
READY, OUT, ERR, EXIT = 0, 1, 2, 3
# A program, its text and, for a shell, its name: so long is what comes before its arguments.
HEAD = 4


def frame(number: int, kind: int, payload: bytes = b"") -> bytes:
    """Return one frame: which command it is about, what it is, and what is in it."""
    return HEADER.pack(number, kind, len(payload)) + payload


def running(command: str, stdin: str | None) -> bytes:
    """Return what is sent of a command; it is not kept: there are secrets in it."""
    return json.dumps({"command": command, "stdin": stdin}).encode()


@cache
def reading(command: str) -> bytes:
    """Return what is sent of a fact's command, the same for all hosts; it takes a while to take apart."""
    return json.dumps({**(plain(command) or {"command": command}), "stdin": None}).encode()


@cache
def _of_several(command: str) -> Words | None:
    """Return the words of a fact's command whose program answers others of its kind in one go with it."""
    words = plain(command)
    return words if words is not None and words["words"][HEAD : HEAD + 1] == ["alone"] else None


def reads(numbered: list[tuple[int, str]]) -> bytes:
    """
    Return the frames of commands that only read, in their order.

    A program whose first argument is "alone" answers several in one go, too, with "together" and what they
    have after that. Such commands are one frame, in the place of the first.

    + numbered: each command with the number that its answer will have

    Example: `reads([(1, "sh -c 'uname -r'")])`
    """
    alike: dict[str, list[tuple[int, str]]] = {}
    for number, command in numbered:
        words = _of_several(command)
        key = command if words is None else json.dumps([words["words"][:HEAD], words["needs"]])
        alike.setdefault(key, []).append((number, command))
    return b"".join(map(_read, alike.values()))


def _read(members: list[tuple[int, str]]) -> bytes:
    each = [_of_several(command) for _, command in members]
    first = each[0]
    if first is None or len(members) == 1:
        return b"".join(frame(number, READ, reading(command)) for number, command in members)
    several = {
        "words": first["words"][:HEAD],
        "needs": first["needs"],
        "together": [
            (number, words["words"][HEAD + 1 :])
            for (number, _), words in zip(members, each, strict=True)
            if words
        ],
    }
    return frame(members[0][0], READ, json.dumps(several).encode())
