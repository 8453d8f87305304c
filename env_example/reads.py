"""Which environment variables a program's source reads, by its syntax tree."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from artefact import Artefact, kept
from settings.app import App

SHOWN = 8


class Read(NamedTuple):
    """One place that reads a variable; `needed`: it fails where that is not set."""

    name: str
    path: str
    line: int
    needed: bool


def undeclared(app: App, source: Path, archive: Artefact) -> list[Read]:
    """
    Return what an app's Python reads under its prefix and nothing declares, in order of places.

    + app: its settings; one without a prefix has nothing that tells its variables from others
    + source: its directory
    + archive: the artefact made of it; what is found is kept by its digest
    """
    if not app.prefix:
        return []
    found = kept.once(archive, f"reads-{_version()}", lambda: list(_directory(source, archive.files)))
    declared = {*app.variables, *app.migrate_variables}
    declared |= {name for service in app.services.values() for name in service.variables}
    reads = (Read(*one) for one in found)
    return [one for one in reads if one.name.startswith(app.prefix) and one.name not in declared]


def findings(app: App, source: Path, archive: Artefact) -> list[str]:
    """Return what would fail on a host: variables that are needed and nothing declares."""
    missing = [one for one in undeclared(app, source, archive) if one.needed]
    return [
        f"apps.{app.key}.variables: {one.path}:{one.line} needs {one.name}, which is not declared; "
        "declare it, or read it with a default"
        for one in missing[:SHOWN]
    ]


def _directory(source: Path, files: tuple[str, ...]) -> Iterator[Read]:
    from lint.source import is_beside, read  # of no use to a run that has nothing to do

    for path in files:
        if not path.endswith(".py") or is_beside(path):
            continue
        for name, line, needed in program(read(source / path) or ""):
            yield Read(name, path, line, needed)


def program(text: str) -> list[tuple[str, int, bool]]:
    """
    Return the variables that one program reads: name, line, and whether it fails without.

    Known are `environ["X"]`, `.get`, `.pop`, `os.getenv` and their like, with a name that is written there or
    in a constant of the module; not names that are put together. Where the program asks whether a name
    is there it does not fail without. What is no Python reads nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }

    def said(node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        return constants.get(node.id) if isinstance(node, ast.Name) else None

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environ(node.value):
            found.append((said(node.slice), node.lineno, True))
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            if isinstance(function, ast.Attribute):
                reads = function.attr in ("get", "pop") and _is_environ(function.value)
                if reads or function.attr == "getenv":
                    alone = function.attr == "pop" and len(node.args) == 1
                    found.append((said(node.args[0]), node.lineno, alone))
            elif isinstance(function, ast.Name) and function.id == "getenv":
                found.append((said(node.args[0]), node.lineno, False))
    asked_for = {
        said(node.left)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and any(_is_environ(one) for one in node.comparators)
    }
    return [(name, line, needed and name not in asked_for) for name, line, needed in found if name]


def _is_environ(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("environ", "env", "environment")


@cache
def _version() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
