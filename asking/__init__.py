"""
Ask all hosts of an inventory one thing at once, from a program that is none of pyinfra's command line.

They are asked by a process of its own, `python -m asking`: pyinfra wants sockets and threads that gevent has
patched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from declared import PROJECT, DeclaredHost

# Of one host; a login that does not come about has pyinfra's own limit.
SECONDS = 60
CONNECTOR_VARIABLE = "HOSTWRIGHT_CONNECTOR"
OF_THE_LOGIN = ("ssh_", "_")


class AskingError(PyinfraError):
    """Nothing could be asked at all."""


@dataclass(frozen=True)
class Answer:
    """
    What one host said.

    + said: by the program, on its standard output
    + problem: why there is nothing of it, None where there is
    """

    said: str
    problem: str | None = None


def ask(
    hosts: Iterable[DeclaredHost], program: str, arguments: Callable[[DeclaredHost], Sequence[str]]
) -> dict[str, Answer]:
    """
    Run a program of `files/host/` on every host, as root, and return what each said, by name.

    + hosts: of one inventory
    + program: file name
    + arguments: of the program, for each host; never a secret

    A host that cannot be reached, or where the program fails, has an answer with the reason.

    Raises AskingError.

    Example: `ask(declared.read("inventories/do.py"), "receipt-read.sh", lambda host: [store.ON_HOST])`
    """
    given = os.environ.get(CONNECTOR_VARIABLE) or None
    if given not in (None, "fast", "plain"):
        raise AskingError(f"{CONNECTOR_VARIABLE} is {given!r}; write 'fast' or 'plain', or unset it")
    questions = [
        {
            "name": host.name,
            "data": _login(host.data),
            "fast": (given or host.settings.connector) == "fast",
            "arguments": list(arguments(host)),
        }
        for host in hosts
    ]
    done = subprocess.run(
        [sys.executable, "-m", "asking", program], cwd=PROJECT, input=json.dumps(questions), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise AskingError(f"no host could be asked: {done.stderr.strip() or f'exit {done.returncode}'}")
    return {name: Answer(**about) for name, about in json.loads(done.stdout).items()}


def _login(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key.startswith(OF_THE_LOGIN)}
