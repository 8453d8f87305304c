"""Where diagnoses are kept: on this machine, one file each, the newest of each host."""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
import time
from pathlib import Path

from diagnostics.errors import DiagnosticsError
from diagnostics.model import Diagnosis, read

KEPT = 50
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,120}")
ID = re.compile(r"\d{8}T\d{6}Z(-[0-9a-f]{6})?(-[a-z]+)?")


def top() -> Path:
    """Return the directory of all diagnoses: HOSTWRIGHT_DIAGNOSTICS, default below ~/.local/state."""
    given, base = os.environ.get("HOSTWRIGHT_DIAGNOSTICS"), os.environ.get("XDG_STATE_HOME")
    if given:
        return Path(given)
    return (Path(base) if base else Path.home() / ".local" / "state") / "hostwright" / "diagnostics"


def directory(environment: str, host: str) -> Path:
    """Return where a host's diagnoses are; its name is one of an inventory, and may be anything."""
    safe = host if NAME.fullmatch(host) else f"host-{host.encode().hex()[:100]}"
    return top() / environment / safe


def reports() -> Path:
    """Return the directory of reports; no environment has such a name."""
    return top() / "_reports"


def make_id() -> str:
    """Return a new id, which sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    Path(aside).replace(file)


def save(diagnosis: Diagnosis) -> Path:
    """Keep a diagnosis, and the newest 50 of its host; return its file."""
    place = directory(diagnosis.environment, diagnosis.host)
    file = place / f"{diagnosis.id}.json"
    write(file, diagnosis.model_dump_json(indent=1) + "\n")
    for old in files(place)[:-KEPT]:
        old.unlink(missing_ok=True)
    return file


def files(place: Path) -> list[Path]:
    """Return the files of a host's diagnoses, oldest first."""
    return sorted(one for one in place.glob("*.json") if ID.fullmatch(one.stem))


def load(file: Path) -> Diagnosis:
    """
    Return a diagnosis that was kept.

    Raises DiagnosticsError where the file is none.
    """
    try:
        return read(json.loads(file.read_text(encoding="utf-8")), str(file))
    except OSError as error:
        raise DiagnosticsError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise DiagnosticsError(f"{file}: is not JSON; remove it, and diagnose anew") from None


def last(environment: str, host: str, before: str | None = None) -> Diagnosis | None:
    """
    Return a host's newest diagnosis, None where there is none that can be read.

    + before: an id: the newest that is older than it
    """
    for file in reversed(files(directory(environment, host))):
        if before is None or file.stem < before:
            try:
                return load(file)
            except DiagnosticsError:
                continue
    return None
