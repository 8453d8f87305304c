"""The backup's program of the host, loaded whole, for its tests."""

from __future__ import annotations

from types import ModuleType

from facts.script import text

NOW = 1_795_000_000
DAY = 86400
KEY = "age1" + "q" * 58


def load(program: str) -> ModuleType:
    """Return a host program as a module, whole as it is installed, without running it."""
    module = ModuleType(program)
    exec(compile(text(program), program, "exec"), module.__dict__)
    return module


host = load("backup.py")
