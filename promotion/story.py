"""The story of a promotion: prove, show, ask, deploy, prove."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

import receipts
from declared import DeclaredHost, read
from promotion.sides import Side, beside
from promotion.stages import PYINFRA, StageError, Stages
from receipts.receipt import Receipt

DIFFERS = 2


def promote(proving: str, receiving: str, *, yes: bool, verbose: bool) -> None:
    """
    Bring what one environment proves to another.

    + proving: its inventory, such as "inventories/staging.py"
    + receiving: such as "inventories/do.py"; its group_data must declare requires_receipt_from the other
    + yes: do not ask before it is changed
    + verbose: show all that each stage says

    Raises StageError where a stage did not pass, or for inventories that do not belong together.
    """
    source, target = environment(proving), environment(receiving)
    first, second = read(proving), read(receiving)
    check_order(source, target, second)
    stages = Stages(logs(f"{source}-{target}"), verbose=verbose)
    click.echo(f"promote {source} → {target}: {names(first)} → {names(second)}")
    stages.untouched = f"{target} was not touched"

    deploy(stages, proving, source)
    proven = accept(stages, proving, source)
    if any(app.drill is not None for host in first for app in host.settings.all_apps()):
        stages.run(f"crash drill on {source}", pyinfra(proving, "drill.py"))
        proven = amended(proven)
    click.echo(f"     receipt {proven.id}: {proven.count('passed')} checks passed")

    shown = stages.run(
        f"what would change in {target}", pyinfra(receiving, "drift.py"), accepted=(0, DIFFERS)
    )
    click.echo(click.unstyle(shown.said).strip())
    if not yes and not agreed(target):
        raise StageError(f"not deployed: {target} was not touched; {source} and its receipt stay")

    stages.untouched = f"{source} is proven; look at {target} with: pyinfra {receiving} history.py"
    deploy(stages, receiving, target)
    received = accept(stages, receiving, target)
    click.echo("")
    click.echo(beside(Side(source, proven), Side(target, received)))


def environment(inventory: str) -> str:
    """Return the environment of an inventory."""
    return Path(inventory).stem


def check_order(source: str, target: str, receiving: list[DeclaredHost]) -> None:
    """Raise StageError unless the second inventory asks for the receipts of the first."""
    for host in receiving:
        wanted = host.settings.requires_receipt_from
        if wanted != source:
            said = "asks for no receipt" if wanted is None else f"asks for receipts of {wanted!r}"
            raise StageError(
                f"promote: {target} {said}: set requires_receipt_from = {source!r} in "
                f"group_data/{target}.py, or name first the inventory that proves, then the one that "
                "receives; no host was touched"
            )


def deploy(stages: Stages, inventory: str, name: str) -> None:
    """Deploy to all hosts of an inventory."""
    stages.run(f"deploy to {name}", pyinfra(inventory, "deploy.py"))


def accept(stages: Stages, inventory: str, name: str) -> Receipt:
    """Run the acceptance suite, and return its receipt."""
    before = {one.id for one in receipts.load(name)[0]}
    pytest = [sys.executable, "-m", "pytest", "-q", "--color=no"]
    command = [*pytest, "tests/acceptance", "--inventory", inventory]
    done = stages.run(f"acceptance of {name}", command)
    made = [one for one in receipts.load(name)[0] if one.id not in before]
    if not made or not made[0].green:
        raise StageError(stages.screen(f"the receipt of {name}", done.said, done.log))
    return made[0]


def amended(receipt: Receipt) -> Receipt:
    """Return a receipt that also says that the crash drill passed; it takes the other's place here."""
    new = replace(receipt, drill=time.time()).signed()
    receipts.save(new)
    return new


def pyinfra(inventory: str, verb: str) -> list[str]:
    """Return the command of one verb."""
    return [str(PYINFRA), "-y", inventory, verb]


def names(hosts: list[DeclaredHost]) -> str:
    """Return the names of hosts as a list for people."""
    shown = [host.name for host in hosts[:4]]
    return ", ".join([*shown, *([f"and {len(hosts) - 4} more"] if len(hosts) > 4 else [])])


def logs(what: str) -> Path:
    """Return a new directory for the logs of one promotion, beside the receipts."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return receipts.directory("x").parent.parent / "promotions" / f"{stamp}-{what}-{os.getpid()}"


def agreed(target: str) -> bool:
    """Ask whether to go on; anything but yes is no, and so is a closed standard input."""
    click.echo("")
    try:
        return input(f"Deploy this to {target}? Type yes: ").strip() == "yes"
    except EOFError:
        click.echo("")
        return False
