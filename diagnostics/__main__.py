"""
Look at diagnoses that were kept.

    python -m diagnostics compare [BEFORE AFTER]   what has changed, default between the last two of each host
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

from diagnostics import DiagnosticsError, page, screen, store, summary
from diagnostics.compare import compare
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


def _two(place: Path, before: str | None, after: str | None) -> tuple[Path, Path] | None:
    """Return the files to compare of one host, None where it has not both; ids may be cut short."""
    found = store.files(place)
    if before is None or after is None:
        return (found[-2], found[-1]) if len(found) > 1 else None
    chosen = [[one for one in found if one.stem.startswith(wanted)] for wanted in (before, after)]
    for wanted, files in zip((before, after), chosen, strict=True):
        if len(files) > 1:
            raise DiagnosticsError(
                f"{wanted!r} begins {len(files)} diagnoses of {place.name}; write more of it"
            )
    return (chosen[0][0], chosen[1][0]) if all(chosen) else None


@main.command("compare")
@click.argument("before", required=False)
@click.argument("after", required=False)
@click.option("--host", help="default all that have both")
@click.option("--environment", help="default all of them")
@click.option("--all", "everything", is_flag=True, help="also show what differs by nothing that counts")
@click.option(
    "--output", type=click.Path(path_type=Path), help="directory for the report, default beside them"
)
@click.option("--json", "as_json", is_flag=True, help="print the summary for programs")
def compared(
    before: str | None,
    after: str | None,
    host: str | None,
    environment: str | None,
    everything: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare two diagnoses of each host; write page and summary. Exits with 2 where something is worse."""
    if (before is None) != (after is None):
        raise DiagnosticsError(
            "write both, BEFORE and AFTER, or neither; python -m diagnostics list shows all"
        )
    pairs = [_two(place, before, after) for place in places(host, environment)]
    found = [compare(store.load(one[0]), store.load(one[1])) for one in pairs if one is not None]
    if not found:
        wanted = f"both {before} and {after}" if before else "two diagnoses"
        raise DiagnosticsError(f"no host has {wanted}; make one: pyinfra INVENTORY diagnose.py")
    summed = summary.of_all(found)
    name = max(one.after.id for one in found)
    where = output or store.reports()
    store.write(where / f"{name}.json", json.dumps(summed, indent=1) + "\n")
    store.write(where / f"{name}.html", page.page(found))
    if output is None:
        for old in sorted(where.glob("*.*"))[: -2 * store.KEPT]:
            old.unlink(missing_ok=True)
    if as_json:
        click.echo(json.dumps(summed, indent=1))
    else:
        click.echo("\n".join(summary.shown(one, everything=everything) for one in found))
        click.echo(f"report: {where / name}.html, and for programs {name}.json beside it")
    sys.exit(2 if summed["verdict"] == "worse" else 0)


@main.command("schema")
def printed() -> None:
    """Print the JSON schema of a diagnosis."""
    click.echo(json.dumps(schema(), indent=1))


if __name__ == "__main__":
    try:
        main()
    except DiagnosticsError as problem:
        sys.exit(f"diagnostics: {problem}")
