"""
Import what a verb is going to import while its hosts are being connected to: nothing else is to be done then.

A login is mostly waiting, ten round trips of it and for the host; loading a deploy file is mostly imports.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import gevent


def modules(text: str) -> list[str]:
    """
    Return what a Python file imports at its top, in its order; of `from a import b` both "a" and "a.b".

    Example: `modules("from tasks import machine")` gives tasks and tasks.machine
    """
    found: dict[str, None] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys(name.name for name in node.names))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found[node.module] = None
            found.update(dict.fromkeys(f"{node.module}.{name.name}" for name in node.names))
    return list(found)


def begin(files: Iterable[Path]) -> gevent.Greenlet:
    """
    Import what some files import, one module at a time, whenever this process waits for something.

    What cannot be imported is left to the file itself, which then says so.

    + files: of Python, such as deploy.py

    Example: `begin([PROJECT / "deploy.py"])`
    """
    return gevent.spawn(_import, list(files))


def _import(files: list[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            for name in modules(file.read_text(encoding="utf-8")):
                with contextlib.suppress(Exception):
                    import_module(name)
                gevent.sleep(0)
