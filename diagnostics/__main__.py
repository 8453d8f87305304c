"""
Look at diagnoses that were kept.

    python -m diagnostics list [HOST]       those on this machine, the newest last
    python -m diagnostics show HOST [ID]    one of them, default the newest
    python -m diagnostics schema            the JSON schema that all of them fit
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from diagnostics import DiagnosticsError, screen, store
from diagnostics.concerns import concerns
from diagnostics.model import schema
from diagnostics.words import when


@click.group()
def main() -> None:
    """Look at diagnoses, and compare them."""


def places(host: str | None, environment: str | None) -> Iterator[Path]:
    """Return the directories of hosts that have diagnoses, of one environment or host where that is said."""
    for place in sorted(store.top().glob("*/*")):
        if environment not in (None, place.parent.name):
            continue
        if store.files(place) and host in (None, place.name):
            yield place


@main.command("list")
@click.argument("host", required=False)
@click.option("--environment", help="default all of them")
def listed(host: str | None, environment: str | None) -> None:
    """List the diagnoses of one host, or of all."""
    for place in places(host, environment):
        for file in store.files(place):
            try:
                one = store.load(file)
            except DiagnosticsError as error:
                click.echo(error, err=True)
                continue
            said = len(concerns(one))
            click.echo(
                f"{one.environment}  {one.host}  {one.id}  {when(one.made)}  {one.purpose}  {said} to look at"
            )


@main.command()
@click.argument("host")
@click.argument("wanted", required=False)
@click.option("--environment", help="default all of them")
def show(host: str, wanted: str | None, environment: str | None) -> None:
    """Show one diagnosis of a host, default its newest."""
    for place in places(host, environment):
        for file in reversed(store.files(place)):
            if file.stem.startswith(wanted or ""):
                one = store.load(file)
                before = store.last(one.environment, one.host, one.id)
                click.echo(screen.shown(one, before, str(file)))
                return
    raise DiagnosticsError(f"{host} has no diagnosis {wanted or ''}; python -m diagnostics list shows all")


@main.command("schema")
def printed() -> None:
    """Print the JSON schema of a diagnosis."""
    click.echo(json.dumps(schema(), indent=1))


if __name__ == "__main__":
    try:
        main()
    except DiagnosticsError as problem:
        sys.exit(f"diagnostics: {problem}")
