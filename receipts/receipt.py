"""One receipt: what it says, and its signature."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from receipts import keys
from receipts.keys import ReceiptError

VERSION = 1


@dataclass(frozen=True)
class Receipt:
    """
    What passed in one environment.

    + id: sorts by time
    + environment, inventory: where
    + made: Unix time
    + by: who saw it, user@machine
    + playbook: its identity, of `playbook_identity.of`
    + hosts: name to "apps" (app to "release", "digest", "commit"), "settings" (their digest), "versions"
    + excluded: paths of settings that the digests leave out
    + results: check to "passed", "failed" or "skipped"
    + not_proven: checks that were left out
    + problems: why it is not green, empty where it is
    + drill: when the crash drill passed, None where it was not run
    + key, signature: whose it is; empty until it is signed
    """

    id: str
    environment: str
    inventory: str
    made: float
    by: str
    playbook: str
    hosts: dict[str, dict[str, Any]]
    excluded: list[str]
    results: dict[str, str]
    not_proven: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    drill: float | None = None
    version: int = VERSION
    key: str = ""
    signature: str = ""

    @property
    def green(self) -> bool:
        """Whether everything that was looked at is as declared."""
        return not self.problems and self.count("passed") > 0 and self.count("failed") == 0

    def count(self, outcome: str) -> int:
        """Return how many checks came to this."""
        return sum(1 for one in self.results.values() if one == outcome)

    def digests(self) -> dict[str, set[str]]:
        """Return app to the digests of its artefact on all hosts."""
        found: dict[str, set[str]] = {}
        for host in self.hosts.values():
            for app, about in host["apps"].items():
                found.setdefault(app, set()).add(about["digest"])
        return found

    def content(self) -> bytes:
        """Return what is signed: everything but the signature."""
        fields = {key: value for key, value in asdict(self).items() if key != "signature"}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    def signed(self) -> Receipt:
        """Return the receipt with the operator's signature."""
        key = keys.private()
        unsigned = replace(self, key=keys.public(key), signature="")
        return replace(unsigned, signature=keys.sign(unsigned.content(), key))

    def is_as_signed(self) -> bool:
        """Return whether nothing was changed since it was signed."""
        return keys.signed(self.content(), self.signature, self.key)

    def text(self) -> str:
        """Return it as it is kept."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def read(cls, text: str, where: str) -> Receipt:
        """
        Return a receipt that was kept.

        Raises ReceiptError where it is none.
        """
        try:
            fields = json.loads(text)
            if fields["version"] != VERSION:
                raise ReceiptError(
                    f"{where} is of version {fields['version']}; make it again: run the acceptance suite"
                )
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise ReceiptError(
                f"{where} is not a receipt ({error}); remove it, and run the acceptance suite"
            ) from None


def make(**fields: Any) -> Receipt:
    """Return a new signed receipt; see `Receipt` for its fields, without `id` and `made`."""
    now = time.time()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{secrets.token_hex(3)}"
    return Receipt(id=name, made=now, **fields).signed()
