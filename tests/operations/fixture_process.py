"""
What `test_fixtures.py` runs in a process of its own; pytest does not collect it by itself.

pyinfra-testing monkey-patches with gevent when it is imported, which must not happen to tests that use
psycopg, testinfra or threads.
"""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pyinfra_testing.facts import make_fact_tests  # type: ignore[import-untyped]
from pyinfra_testing.operations import make_operation_tests  # type: ignore[import-untyped]

import facts.script
import operations.reconnect
from operations.supervisor_text import TEMPLATES, _templates

TESTS = Path(__file__).resolve().parent.parent

# A fixture says which program runs and with which arguments; the program's text has its own tests.
facts.script.text = lambda program: f"<{program}>"  # type: ignore[assignment]
operations.reconnect.text = facts.script.text  # type: ignore[attr-defined]  # its own name for it is what is replaced

# Fixtures see no file of this machine: what is rendered is read before.
_templates().auto_reload = False
for _template in TEMPLATES.glob("*.j2"):
    _templates().get_template(_template.name)


def cases(kind: str) -> list[Path]:
    """List the directories `tests/<kind>/<module>.<Thing>/` that hold at least one case."""
    found = (path for path in (TESTS / kind).iterdir() if path.is_dir() and "." in path.name)
    return sorted(path for path in found if any(path.glob("*.yaml")))


def with_secrets(value: Any) -> Any:
    """Make a SecretStr of every text that begins with "secret:", which YAML has no word for."""
    if isinstance(value, str) and value.startswith("secret:"):
        return SecretStr(value.removeprefix("secret:"))
    if isinstance(value, dict):
        return {key: with_secrets(one) for key, one in value.items()}
    return value


def make_tests(directory: Path) -> type[unittest.TestCase]:
    """Make one operation's tests; one with `executing: true` runs as after the plan, not while planning."""
    made: Any = make_operation_tests("operations", directory.name, directory)
    run = made._test

    def test(self: Any, name: str, data: dict[str, Any]) -> None:
        self.state.is_executing = data.get("executing", False)
        run(self, name, {**data, "kwargs": with_secrets(data.get("kwargs", {}))})

    made._test = test
    return made  # type: ignore[no-any-return]


for _directory in cases("operations"):
    globals()[f"operation:{_directory.name}"] = make_tests(_directory)
for _directory in cases("facts"):
    globals()[f"fact:{_directory.name}"] = make_fact_tests("facts", _directory.name, _directory)
