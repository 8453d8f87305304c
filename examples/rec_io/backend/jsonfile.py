"""Write JSON files that a reader never sees half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write(path: Path, content: Any) -> int:
    """Replace ``path`` by ``content`` as JSON in one step and return its size in bytes.

    Not flushed to disk: every file is made again within seconds, and a write cache spares small machines.
    """
    data = json.dumps(content, indent=1, default=str).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One writer per file, so one fixed name: a killed writer leaves one at most, and the next takes it over.
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
    return len(data)
