"""
Receipts: what passed where, signed by who saw it.

The acceptance suite makes one for each whole run; a deploy to an environment that declares
`requires_receipt_from` is refused without one for exactly this code, this playbook and these settings.
docs/promote.md tells it from the user's side.
"""

from receipts.keys import ReceiptError
from receipts.proof import Unproven, check
from receipts.receipt import Receipt, make
from receipts.store import directory, load, save

__all__ = ["Receipt", "ReceiptError", "Unproven", "check", "directory", "load", "make", "save"]
