"""Two environments side by side: what was proven in each, and what differs."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from receipts.receipt import Receipt

SHORT = 12


@dataclass(frozen=True)
class Side:
    """
    One environment after its acceptance suite.

    + name: of the environment
    + receipt: of its run
    """

    name: str
    receipt: Receipt

    def rows(self) -> dict[str, str]:
        """Return what is shown of it, by label."""
        receipt = self.receipt
        found = {"hosts": ", ".join(sorted(receipt.hosts)), "playbook": receipt.playbook}
        for app, digests in sorted(receipt.digests().items()):
            found[f"{app}: digest"] = ", ".join(sorted(one[:SHORT] for one in digests))
        labels = {label for host in receipt.hosts.values() for label in host["versions"]}
        for label in sorted(labels):
            versions = {host["versions"].get(label, "-") for host in receipt.hosts.values()}
            found[label] = ", ".join(sorted(versions))
        failed = receipt.count("failed")
        found["checks"] = f"{receipt.count('passed')} passed" + (f", {failed} failed" if failed else "")
        found["not proven"] = (
            f"{len(receipt.not_proven)} checks that restart services" if receipt.not_proven else "-"
        )
        found["crash drill"] = "passed" if receipt.drill is not None else "-"
        found["receipt"] = receipt.id
        return found


def beside(left: Side, right: Side, *, width: int = 110) -> str:
    """
    Return a table of two environments.

    + left, right: the sides
    + width: in columns, default 110
    """
    table = Table(title=f"{left.name} and {right.name}", title_justify="left")
    for heading in ("", left.name, right.name, ""):
        table.add_column(heading, overflow="fold")
    mine, other = left.rows(), right.rows()
    for label in dict.fromkeys([*mine, *other]):
        one, two = mine.get(label, "-"), other.get(label, "-")
        own = label in ("hosts", "receipt", "crash drill", "checks", "not proven")
        table.add_row(label, one, two, "" if own or one == two else "differs")
    out = io.StringIO()
    Console(file=out, width=width, no_color=True).print(table)
    return out.getvalue().rstrip()
