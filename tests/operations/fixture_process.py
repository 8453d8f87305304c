"""
What `test_fixtures.py` runs in a process of its own; pytest does not collect it by itself.

pyinfra-testing monkey-patches with gevent when it is imported, which must not happen to tests that use
psycopg, testinfra or threads.
"""

from __future__ import annotations

from pathlib import Path

from pyinfra_testing.facts import make_fact_tests  # type: ignore[import-untyped]
from pyinfra_testing.operations import make_operation_tests  # type: ignore[import-untyped]

import facts.script
import operations.reconnect

TESTS = Path(__file__).resolve().parent.parent

# A fixture says which program runs and with which arguments; the program's text has its own tests.
facts.script._text = lambda program: f"<{program}>"  # type: ignore[assignment]
operations.reconnect._text = facts.script._text


def cases(kind: str) -> list[Path]:
    """List the directories `tests/<kind>/<module>.<Thing>/` that hold at least one case."""
    found = (path for path in (TESTS / kind).iterdir() if path.is_dir() and "." in path.name)
    return sorted(path for path in found if any(path.glob("*.yaml")))


for _directory in cases("operations"):
    globals()[f"operation:{_directory.name}"] = make_operation_tests(
        "operations", _directory.name, _directory
    )
for _directory in cases("facts"):
    globals()[f"fact:{_directory.name}"] = make_fact_tests("facts", _directory.name, _directory)
