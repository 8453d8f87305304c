"""Whether what is about to be deployed was proven: the one decision that receipts are for."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from receipts import keys, store
from receipts.receipt import Receipt

# Clocks of two machines differ a little.
AHEAD_SECONDS = 300


@dataclass(frozen=True)
class Unproven:
    """
    Why a host may not be deployed to.

    + reason: what is missing, or differs
    + remedy: what to do
    """

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


@dataclass(frozen=True)
class Wanted:
    """
    What one host is about to get.

    + digests: app to the digest of its artefact
    + playbook: the playbook's identity
    + settings: digest of its settings
    """

    digests: Mapping[str, str]
    playbook: str
    settings: str


def check(
    wanted: Wanted, *, environment: str, hours: int, trusted: Collection[str], now: float | None = None
) -> Receipt | Unproven:
    """
    Return the receipt that proves what a host is about to get, or why there is none.

    + wanted: what the host is about to get
    + environment: whose receipts count, such as "staging"
    + hours: how old one may be
    + trusted: public keys whose receipts count; empty for the operator's own
    + now: Unix time, default the present

    The newest receipt of the same artefacts and playbook decides: one that came out red later counts more
    than a green one from before.
    """
    inventory = f"inventories/{environment}.py"
    again = f"pyinfra {inventory} deploy.py, then pytest tests/acceptance --inventory {inventory}"
    known, wrong = store.load(environment)
    same = [one for one in known if _same_code(one, wanted) and one.playbook == wanted.playbook]
    if not same:
        return _nothing_fits(wanted, known, wrong, environment, again)
    newest = same[0]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(newest.made))
    place = store.directory(environment) / f"{newest.id}.json"
    if not newest.is_as_signed():
        return Unproven(
            f"receipt {place} was changed after it was signed", f"remove it and prove it again: {again}"
        )
    believed = {*trusted} or {one for one in (keys.own(),) if one is not None}
    if newest.key not in believed:
        return Unproven(
            f"receipt {newest.id} by {newest.by} is signed with {newest.key}, which is not trusted here",
            "add that key to receipt_keys in group_data/ if it is a colleague's, or prove it yourself: "
            + again,
        )
    if not newest.green:
        failed = [check for check, result in newest.results.items() if result == "failed"]
        said = "; ".join([*newest.problems, *failed[:5]]) or "nothing was looked at"
        return Unproven(
            f"{environment} did not pass at {when} ({said})", f"mend that and prove it again: {again}"
        )
    age = (time.time() if now is None else now) - newest.made
    if age > hours * 3600:
        return Unproven(
            f"the receipt of {environment} is {age / 3600:.0f} hours old, of {when}, and {hours} are allowed",
            f"prove it again: {again}",
        )
    if age < -AHEAD_SECONDS:
        return Unproven(
            f"the receipt of {environment} is from the future, {when}", "set this machine's clock"
        )
    hosts = [
        one["settings"]
        for one in newest.hosts.values()
        if all(one["apps"].get(app, {}).get("digest") == digest for app, digest in wanted.digests.items())
    ]
    if wanted.settings not in hosts:
        return Unproven(
            f"no host of {environment} has these settings (beyond {', '.join(newest.excluded)})",
            f"see what differs: python compare.py inventories/{environment}.py and this inventory",
        )
    return newest


def _same_code(receipt: Receipt, wanted: Wanted) -> bool:
    return any(
        all(host["apps"].get(app, {}).get("digest") == digest for app, digest in wanted.digests.items())
        for host in receipt.hosts.values()
    )


def _nothing_fits(
    wanted: Wanted, known: list[Receipt], wrong: list[str], environment: str, again: str
) -> Unproven:
    fetch = f"or, where somebody else did: python -m receipts fetch inventories/{environment}.py"
    if not known:
        said = f" ({wrong[0]})" if wrong else ""
        return Unproven(f"nothing was proven on {environment} yet{said}", f"do that first: {again}; {fetch}")
    newest = known[0]
    for one in known:
        if _same_code(one, wanted):
            return Unproven(
                f"this playbook is {wanted.playbook}, and {environment} proved this code with {one.playbook}",
                f"prove this one: {again}; {fetch}",
            )
    proven = {app: ", ".join(sorted(one[:12] for one in found)) for app, found in newest.digests().items()}
    differs = [
        f"{app} is {digest[:12]} here and {proven.get(app, 'not there')} in the newest receipt"
        for app, digest in wanted.digests.items()
    ]
    return Unproven(
        f"{environment} has not proven this code: {'; '.join(differs)}", f"do that: {again}; {fetch}"
    )
