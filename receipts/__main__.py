"""
Look at receipts.

    python -m receipts list [ENVIRONMENT]       those on this machine, the newest first
    python -m receipts key                      this operator's public key, for receipt_keys of group_data/
    python -m receipts fetch INVENTORY          those that its hosts have, such as a colleague's
"""

from __future__ import annotations

import sys
import time

import click
from pyinfra.api.exceptions import PyinfraError

import asking
import declared
from receipts import keys, store
from receipts.keys import ReceiptError
from receipts.receipt import Receipt


@click.group()
def main() -> None:
    """Look at receipts: what passed where, and who saw it."""


@main.command("list")
@click.argument("environment", required=False)
def listed(environment: str | None) -> None:
    """List the receipts of one environment, or of all."""
    top = store.directory("x").parent
    names = [environment] if environment else sorted(one.name for one in top.glob("*") if one.is_dir())
    for name in names:
        found, wrong = store.load(name)
        for one in found:
            click.echo(line(one))
        for problem in wrong:
            click.echo(problem, err=True)


@main.command("key")
def key() -> None:
    """Print this operator's public key; it is made where there is none."""
    click.echo(keys.public(keys.private()))


@main.command()
@click.argument("inventory")
def fetch(inventory: str) -> None:
    """Take over the receipts that an inventory's hosts have."""
    hosts = {host.name: host for host in declared.read(inventory)}
    answers = asking.ask(hosts.values(), "receipt-read.sh", lambda _: [store.ON_HOST])
    taken = 0
    for name, answer in answers.items():
        for text in filter(None, answer.said.split("\0")):
            taken += _take(text, name, hosts[name].settings.environment)
    click.echo(f"{taken} new receipts of {inventory}")
    if problems := [answer.problem for answer in answers.values() if answer.problem is not None]:
        raise ReceiptError("; ".join(problems))


def _take(text: str, host: str, environment: str) -> int:
    receipt = Receipt.read(text, f"a receipt of {host}")
    known = store.directory(environment) / f"{receipt.id}.json"
    if known.exists() or receipt.environment != environment:
        return 0
    store.save(receipt)
    return 1


def line(receipt: Receipt) -> str:
    """Return one receipt in one line."""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(receipt.made))
    verdict = "green" if receipt.green else "RED"
    if not receipt.is_as_signed():
        verdict = "CHANGED AFTER IT WAS SIGNED"
    apps = ", ".join(
        f"{app} {'/'.join(sorted(d[:12] for d in found))}" for app, found in receipt.digests().items()
    )
    checks = f"{receipt.count('passed')} passed, {receipt.count('failed')} failed"
    about = f"playbook {receipt.playbook}  {receipt.by}"
    return f"{receipt.id}  {receipt.environment}  {when}  {verdict}  {checks}  {apps}  {about}"


if __name__ == "__main__":
    try:
        main()
    except (PyinfraError, RuntimeError) as problem:
        sys.exit(f"receipts: {problem}")
