"""What `operations/secrets.py` reads: digests and states, never a value."""

from __future__ import annotations

import hashlib
import json
from typing import TypedDict, cast

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script

# As slow as a password hash should be for a digest that shows in verbose output, and yet 0.1 s a secret:
# OWASP's Password Storage Cheat Sheet names 600,000 for a stolen database; this one is shown to its owner.
ITERATIONS = 100_000


class SecretFields(TypedDict):
    """One secret's file; `digest` is PBKDF2-SHA256 with the directory's path as salt, or ""."""

    user: str
    group: str
    mode: str
    empty: bool
    digest: str


def digest(value: str, directory: str) -> str:
    """Return the digest that the host computes for this value in this directory."""
    return hashlib.pbkdf2_hmac("sha256", value.encode(), directory.encode(), ITERATIONS).hex()


class SecretDigests(FactBase[dict[str, SecretFields]]):
    """
    Read the state of every secret in a directory by name; empty where there is none.

    + directory: absolute path
    + given: names of those whose digest is wanted, for it takes its time
    """

    @override
    def requires_command(self, directory: str, given: tuple[str, ...]) -> str:
        return "python3"

    @staticmethod
    @override
    def default() -> dict[str, SecretFields]:
        return {}

    @override
    def command(self, directory: str, given: tuple[str, ...]) -> StringCommand:
        return script("secrets-digests.py", directory, directory, ITERATIONS, *given)

    @override
    def process(self, output: list[str]) -> dict[str, SecretFields]:
        return cast("dict[str, SecretFields]", json.loads(output[0]))


class EnvFileState(FactBase[str]):
    """
    Say whether an environment file is "same", "differs" or "absent".

    + arguments: what `secrets-env.py` takes after its action
    """

    @override
    def requires_command(self, arguments: tuple[str, ...]) -> str:
        return "python3"

    @staticmethod
    @override
    def default() -> str:
        return "absent"

    @override
    def command(self, arguments: tuple[str, ...]) -> StringCommand:
        return script("secrets-env.py", "check", *arguments)

    @override
    def process(self, output: list[str]) -> str:
        return output[0].strip()
