"""
Bring what staging proves to production, in one command.

    python promote.py inventories/staging.py inventories/do.py

Deploys to the first inventory, runs its acceptance suite and, where an app declares one, its crash drill;
shows what would change in the second and waits for a yes; then deploys there, proves that too, and shows both
side by side. Production is not touched unless all of the first passed. Exits with 0 when both are green,
else with 1.
"""

from __future__ import annotations

import sys

import click
from pyinfra.api.exceptions import PyinfraError

from promotion import story
from promotion.stages import StageError


@click.command(help=__doc__)
@click.argument("proving")
@click.argument("receiving")
@click.option("--yes", is_flag=True, help="do not ask before the second inventory is changed")
@click.option("--verbose", is_flag=True, help="show all that each stage says while it runs")
def main(proving: str, receiving: str, yes: bool, verbose: bool) -> None:
    """Run the story; one screen says how it ended."""
    try:
        story.promote(proving, receiving, yes=yes, verbose=verbose)
    except StageError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (PyinfraError, RuntimeError) as error:
        click.echo(f"promote: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
