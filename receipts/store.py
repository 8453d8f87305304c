"""Where receipts are kept: on this machine, one file each; every host has its own beside its ledger."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from receipts.keys import ReceiptError
from receipts.receipt import Receipt

KEPT = 50
# The same on a host.
ON_HOST = "/var/lib/hostwright/receipts"


def directory(environment: str) -> Path:
    """
    Return where an environment's receipts are.

    Below HOSTWRIGHT_RECEIPTS, default ~/.local/state/hostwright/receipts.
    """
    given, base = os.environ.get("HOSTWRIGHT_RECEIPTS"), os.environ.get("XDG_STATE_HOME")
    if given:
        return Path(given) / environment
    return (
        (Path(base) if base else Path.home() / ".local" / "state") / "hostwright" / "receipts" / environment
    )


def save(receipt: Receipt) -> Path:
    """Keep a receipt, whole or not at all, and the newest 50 of its environment; return its file."""
    place = directory(receipt.environment)
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{receipt.id}.json"
    descriptor, aside = tempfile.mkstemp(dir=place, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        new.write(receipt.text())
        new.flush()
        os.fsync(new.fileno())
    Path(aside).replace(file)
    for old in sorted(place.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return file


def load(environment: str) -> tuple[list[Receipt], list[str]]:
    """Return an environment's receipts, the newest first, and what is wrong with files that are none."""
    found, wrong = [], []
    for file in sorted(directory(environment).glob("*.json"), reverse=True):
        try:
            receipt = Receipt.read(file.read_text(encoding="utf-8"), str(file))
        except ReceiptError as error:
            wrong.append(str(error))
            continue
        if receipt.environment == environment:
            found.append(receipt)
    return found, wrong
