"""Check an app's code on this machine against what is declared for it, before any host is touched."""

from __future__ import annotations

import json
from pathlib import Path

from env_example import text
from operations import venv
from settings.app import App
from settings.secret_files import keys_of


def directory(app: App, project: Path) -> Path:
    """Return the directory of the app's code on this machine."""
    return (project / app.source).resolve()


def findings(app: App, project: Path) -> list[str]:
    """
    Return what is wrong with the app's code as a deploy would take it; empty when nothing is.

    + app: its settings
    + project: directory that a relative `source` begins at
    """
    place = f"apps.{app.key}"
    source = directory(app, project)
    if not source.is_dir():
        return [f"{place}.source: {app.source!r} is not a directory; name the one that holds the code"]
    found = []
    requirements = source / app.requirements
    if not requirements.is_file():
        found.append(f"{place}.requirements: {app.source}/{app.requirements} does not exist; make it")
    else:
        wrong = venv.findings(requirements.read_text(encoding="utf-8"))
        found += [f"{place}.requirements: {app.requirements}: {finding}" for finding in wrong[:3]]
    return found + _env_example(app, source, place) + _secret_examples(app, source, place)


def _env_example(app: App, source: Path, place: str) -> list[str]:
    if app.env_example is None:
        return []
    example = source / app.env_example
    if not example.is_file():
        return [f"{place}.env_example: {app.source}/{app.env_example} does not exist; make it, or set None"]
    wrong = text.findings(example.read_text(encoding="utf-8"), app.variables)
    more = f"; all of it is written by: python -m env_example {app.key}"
    return [f"{place}.env_example: {app.source}/{app.env_example}: {one}{more}" for one in wrong]


def _secret_examples(app: App, source: Path, place: str) -> list[str]:
    found = []
    for label, file in app.secret_files.items():
        if file.example is None:
            continue
        where, path = f"{place}.secret_files.{label}", f"{app.source}/{file.example}"
        try:
            example = json.loads((source / file.example).read_text(encoding="utf-8"))
        except FileNotFoundError:
            found.append(f"{where}.example: {path} does not exist; make it, or set None")
            continue
        except ValueError as error:
            found.append(f"{where}.example: {path} is not JSON: {error}")
            continue
        if not isinstance(example, dict):
            found.append(f"{where}.example: {path} must hold one JSON object")
            continue
        named, declared = keys_of(example), keys_of(file.content)
        found += [
            f"{where}: {key} is in {file.example} but not declared; declare it"
            for key in sorted(named - declared)
        ]
        found += [
            f"{where}: {key} is declared but not in {file.example}; add it there"
            for key in sorted(declared - named)
        ]
    return found
