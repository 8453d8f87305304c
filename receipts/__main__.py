"""
Look at receipts.

    python -m receipts list [ENVIRONMENT]       those on this machine, the newest first
    python -m receipts key                      this operator's public key, for receipt_keys of group_data/
    python -m receipts fetch INVENTORY          those that its hosts have, such as a colleague's
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click
from pyinfra.api.exceptions import PyinfraError

from facts import script
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
    # What reads an inventory outside of pyinfra's command line is the acceptance suite's.
    from declared import read
    from tests.acceptance.fleet import Fleet

    fleet = Fleet(read(inventory), Path(tempfile.mkdtemp(prefix="receipts-")))
    taken = 0
    try:
        for name, remote in fleet.remotes.items():
            remote.open()
            done = remote.run("sh", "-c", script.text("receipt-read.sh"), "sh", store.ON_HOST)
            if done.returncode != 0:
                raise ReceiptError(f"{name}: its receipts cannot be read: {done.stderr.strip()}")
            for text in filter(None, done.stdout.split("\0")):
                taken += _take(text, name, remote.declared.settings.environment)
    finally:
        fleet.close()
    click.echo(f"{taken} new receipts of {inventory}")


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
