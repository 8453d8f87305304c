"""The receipt of a whole run of this suite: what was looked at, and how it came out."""

from __future__ import annotations

from typing import Any

import playbook_identity
import receipts
from declared import PROJECT
from facts import script
from operations.trial.run import owner
from receipts.store import ON_HOST
from settings.digest import digest, own_paths
from tests.acceptance.fleet import Fleet
from tests.acceptance.remote import Remote


def written(fleet: Fleet, inventory: str, results: dict[str, str], not_proven: list[str]) -> receipts.Receipt:
    """
    Make the receipt of a run, and keep it on each host and on this machine.

    + fleet: all hosts of the inventory
    + inventory: as given on the command line
    + results: check to "passed", "failed" or "skipped"
    + not_proven: checks that were left out
    """
    environment = fleet.declared[0].settings.environment
    excluded = own_paths(PROJECT, environment)
    playbook = playbook_identity.of(PROJECT)
    problems = list(fleet.problems.values())
    hosts: dict[str, dict[str, Any]] = {}
    for name, remote in fleet.remotes.items():
        if name in fleet.problems:
            continue
        settings = remote.declared.settings
        seen = remote.look("versions.py", {app.key: app.root for app in settings.all_apps()})
        if seen["playbook"] != playbook:
            problems.append(
                f"{name} was deployed by playbook {seen['playbook']}, and this one is {playbook}: deploy"
            )
        problems += [
            f"{name} has no release of {app.key}"
            for app in settings.all_apps()
            if app.key not in seen["apps"]
        ]
        hosts[name] = {
            "apps": seen["apps"],
            "versions": seen["versions"],
            "settings": digest(
                remote.declared.data,
                project=PROJECT,
                environment=environment,
                groups=remote.declared.groups,
            ),
        }
    receipt = receipts.make(
        environment=environment,
        inventory=inventory,
        by=owner(),
        playbook=playbook,
        hosts=hosts,
        excluded=list(excluded),
        results=dict(results),
        not_proven=not_proven,
        problems=problems,
    )
    receipts.save(receipt)
    for name in hosts:
        put(fleet.remotes[name], receipt)
    return receipt


def put(remote: Remote, receipt: receipts.Receipt) -> None:
    """Keep a receipt on a host, beside its ledger."""
    done = remote.run(
        "sh", "-c", script.text("receipt-keep.sh"), "sh", ON_HOST, f"{receipt.id}.json", stdin=receipt.text()
    )
    if done.returncode != 0:
        raise receipts.ReceiptError(
            f"{remote.declared.name}: the receipt cannot be kept there: {done.stderr.strip()}"
        )
