"""
Show where two environments differ, and change nothing.

    python compare.py inventories/staging.py inventories/do.py

Every setting that differs, with the file that declares it; then what differs on the hosts themselves: system,
PostgreSQL and its settings, releases, migrations, packages. Secrets are never shown.
"""

from __future__ import annotations

import io
import sys

import click
from pyinfra.api.exceptions import PyinfraError

from comparison import story


@click.command(help=__doc__)
@click.argument("left")
@click.argument("right")
@click.option("--json", "as_json", is_flag=True, help="for programs; docs/environments.md has the shape")
@click.option("--settings-only", is_flag=True, help="compare what is declared, and connect to no host")
@click.option("--exit-code", "tell_by_code", is_flag=True, help="exit with 2 where something differs")
def main(left: str, right: str, as_json: bool, settings_only: bool, tell_by_code: bool) -> None:
    """Run the story; 1 says that not all could be compared."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without UTF-8 is told of other letters in its own.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(
            story.compare(
                left, right, as_json=as_json, settings_only=settings_only, tell_by_code=tell_by_code
            )
        )
    except (PyinfraError, RuntimeError) as error:
        click.echo(f"compare: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(1)  # click's own 2 would say that something differs
    except click.Abort:
        sys.exit(130)
