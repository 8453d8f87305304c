"""Diagnoses for tests: a whole one of a real host, and parts of it that are otherwise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostics.model import Diagnosis, read

RECORDED = Path(__file__).with_name("diagnosis.json")


def plain() -> dict[str, Any]:
    """Return a diagnosis of a host that examples/rec_io runs on, as JSON has it."""
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def made(change: Callable[[dict[str, Any]], None] | None = None, *, later: float = 0.0) -> Diagnosis:
    """
    Return it as it is kept.

    + change: what to change in it before
    + later: seconds that it was made later
    """
    found = copy.deepcopy(plain())
    found["made"] += later
    if change is not None:
        change(found)
    return read(found, "a test's diagnosis")
