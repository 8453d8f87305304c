"""
Look for what in an application's source does not travel.

    python -m lint examples/rec_io                    # a directory, as it would be deployed
    python -m lint app/one.py app/two.sh              # files, as pre-commit names them
    python -m lint --format sarif --output lint.sarif examples/rec_io
    python -m lint --rules

Exits with 0 where nothing was found, 1 where something was, 2 where it could not look.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from pyinfra.api.exceptions import PyinfraError

from lint import check, report
from lint.exceptions import Exceptions, LintError
from lint.finding import Finding

OUT_OF_ORDER = 2


@click.command(help=__doc__)
@click.argument("paths", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True
)
@click.option("--output", type=click.Path(dir_okay=False), help="file to write to, default standard output")
@click.option("--rules", is_flag=True, help="tell all rules, and look at nothing")
def main(paths: tuple[str, ...], form: str, output: str | None, rules: bool) -> None:
    """Look, report, and exit."""
    if rules:
        click.echo(report.rules())
        return
    if not paths:
        click.echo("lint: name a directory or files: python -m lint PATH", err=True)
        sys.exit(OUT_OF_ORDER)
    try:
        found = [one for path in paths for one in looked(Path(path), alone=len(paths) == 1)]
    except (LintError, PyinfraError) as error:
        click.echo(f"lint: {error}", err=True)
        sys.exit(OUT_OF_ORDER)
    forms = {"json": report.as_json, "sarif": report.sarif}
    text = forms[form](found) if form in forms else report.people(found, ", ".join(paths))
    if output is None:
        click.echo(text)
    else:
        Path(output).write_text(f"{text}\n", encoding="utf-8")
    sys.exit(1 if found else 0)


def looked(path: Path, *, alone: bool) -> list[Finding]:
    """Return the findings of a directory or file; of several, each with the path that was given."""
    if path.is_dir():
        found = check.directory(path)
        return found if alone else [one._replace(path=f"{path}/{one.path}") for one in found]
    if not path.is_file():
        raise LintError(f"{path} does not exist; name a directory or files")
    # Of the directory that it is started in, as pre-commit does.
    return check.file(path, path.as_posix(), Exceptions.of(Path()))


if __name__ == "__main__":
    main()
