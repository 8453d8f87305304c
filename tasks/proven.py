"""Production gets what staging proved: a deploy that asks for a receipt is refused without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

import playbook_identity
from settings import Settings
from settings.digest import digest

if TYPE_CHECKING:
    from tasks import plan

ENOUGH = 10


class UnprovenError(PyinfraError):
    """Raised where nothing proves what is about to be deployed; the text says what to do."""


def by_receipt(
    host: Host, settings: Settings, made: dict[str, plan.Plan], *, project: Path
) -> dict[str, str]:
    """
    Return what allows this deploy, for the ledger: the receipt, or why it goes without one.

    + host: pyinfra's host
    + settings: of the host
    + made: app to what its release is made of
    + project: directory that deploy.py is in

    Empty where the environment asks for none.

    Raises UnprovenError.
    """
    environment = settings.requires_receipt_from
    if environment is None:
        return {}
    reason = host.data.get("without_receipt")
    if reason is not None:
        if len(str(reason).strip()) < ENOUGH:
            raise UnprovenError(
                f"without_receipt is {str(reason)!r}; say why, in {ENOUGH} characters or more: "
                "the ledger keeps it"
            )
        return {"without_receipt": str(reason).strip()}
    # Only where it is asked for: most runs need no cryptography of ours.
    from receipts import proof

    found = proof.check(
        proof.Wanted(
            digests={app: one.archive.digest for app, one in made.items()},
            playbook=playbook_identity.of(project),
            settings=digest(
                host.data.dict(), project=project, environment=settings.environment, groups=host.groups
            ),
        ),
        environment=environment,
        hours=settings.receipt_hours,
        trusted=settings.receipt_keys,
    )
    if isinstance(found, proof.Unproven):
        raise UnprovenError(str(found))
    return {"receipt": found.id}
