"""
Write the example of an app's environment file from what is declared, or check it.

    python -m env_example                 of every app that declares `env_example`
    python -m env_example rec_io          of one
    python -m env_example --check         write nothing; exit code 1 where one is not as it should be

Comments, order and values of what is there stay; a secret has no value in it. Told as well: variables that
the code reads and nothing declares.
"""

from __future__ import annotations

import difflib
import runpy
import sys
from pathlib import Path

import click
from pyinfra.api.exceptions import PyinfraError

import app_source
import artefact
from env_example import reads, text
from settings import Settings, load
from settings.app import App
from settings.groups import apps_declared

PROJECT = Path(__file__).resolve().parent.parent


@click.command()
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where an example is not right.")
def main(apps: tuple[str, ...], check: bool) -> None:
    """Write the example of an app's environment file from what is declared."""
    declared = of_project(PROJECT)
    for key in apps:
        if key not in declared:
            close = difflib.get_close_matches(key, declared, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(declared))}"
            raise click.UsageError(f"no file of group_data/ declares an app {key!r}; {hint}")
        if declared[key].env_example is None:
            raise click.UsageError(f"apps.{key} declares no env_example; name the file there")
    wrong = False
    for key, app in declared.items():
        if app.env_example is not None and (not apps or key in apps):
            wrong = one(app, app_source.directory(app, PROJECT), check=check) or wrong
    sys.exit(1 if wrong else 0)


def of_project(project: Path) -> dict[str, App]:
    """
    Return the apps that the files of group_data/ declare for all environments, by key.

    + project: directory that group_data/ is in

    Raises SettingsError.
    """
    directory = project / "group_data"
    shared = _names(directory / "all.py")
    found: dict[str, App] = {}
    for file in sorted(directory.glob("*.py")):
        data = {**shared, **_names(file), "environment": "example"}
        if "apps" not in data or (file.stem != "all" and "apps" not in _names(file)):
            continue
        settings = load(data, f"group_data/{file.name}", elsewhere=apps_declared(project))
        found |= {app.key: app for app in settings.all_apps() if app.key not in found}
    return found


def _names(file: Path) -> dict[str, object]:
    # What a file imports from others is no setting.
    return {key: value for key, value in runpy.run_path(str(file)).items() if key in Settings.model_fields}


def one(app: App, source: Path, *, check: bool) -> bool:
    """Write or check one app's example, and say what came of it; return whether something is wrong."""
    file = source / str(app.env_example)
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    if check:
        found = text.findings(before, app.variables) if file.is_file() else ["does not exist"]
    else:
        found = []
        after = text.written(before, app.variables)
        if after != before:
            aside = file.with_name(f".{file.name}.new")
            aside.write_text(after, encoding="utf-8")
            aside.replace(file)
        click.echo(f"{app.source}/{app.env_example}: {'written' if after != before else 'is as declared'}")
    for line in found:
        click.echo(f"{app.source}/{app.env_example}: {line}", err=True)
    for read in reads.undeclared(app, source, artefact.build(source)):
        click.echo(
            f"{app.source}/{read.path}:{read.line}: reads {read.name}, which is not declared", err=True
        )
        if read.needed:
            found.append(read.name)
    return bool(found)


if __name__ == "__main__":
    try:
        main()
    except (PyinfraError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
