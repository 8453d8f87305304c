"""What a release of an app is made of, known before any host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import app_source
import artefact
from facts.release import About
from operations import migration_files, release, schema, supervisor, systemd, venv
from settings import Settings
from settings.app import App
from tasks import gates, parts

# Files that only keep a directory in git; the directory may become a link.
PLACEHOLDERS = (".gitkeep", ".gitignore", ".keep")


class Plan(NamedTuple):
    """
    What a release is made of, the same for every host of a run.

    `parts` leads from the name of each part that a service stands in to the digest of its code;
    `migrations` is None for an app that declares no directory of them.
    """

    release: str
    archive: artefact.Artefact
    files: dict[str, str]
    links: dict[str, str]
    requirements: str
    parts: dict[str, str]
    about: About
    migrations: list[schema.File] | None


# By the settings' identity, which no others can have as long as these are kept, and the app's key.
_made: dict[tuple[int, str], tuple[Settings, Plan]] = {}


def once(app: App, settings: Settings, project: Path) -> Plan:
    """Return an app's plan, made once for all hosts that share these settings."""
    known = _made.get((id(settings), app.key))
    if known is None:
        known = settings, of(app, project, database_port=settings.postgresql.port)
        _made[id(settings), app.key] = known
    return known[1]


def of(app: App, project: Path, *, database_port: int = 5432) -> Plan:
    """Make the app's artefact and everything that joins it, and name the release after all of it."""
    source = app_source.directory(app, project)
    archive = artefact.once(source)
    requirements = (source / app.requirements).read_text(encoding="utf-8")
    links = {"venv": f"{app.root}/venvs/{venv.digest(requirements)}"}
    links |= {path: f"{app.shared_root}/{path}" for path in _topmost(app.shared)}
    found = parts.of(app, archive, links)
    stands = {label: f"{app.root}/parts/{part.name}" for label, part in found.items()}
    files = _service_files(app, stands, links["venv"])
    # With the release, so that one that is gone back to is checked by its own gates.
    files[gates.FILE] = gates.text(app, database_port=database_port)
    key = release.identity(archive.digest, files, links)[:12]
    commit = artefact.commit_once(source)
    wanted = _migrations(app, source, archive)
    return Plan(
        release=key,
        archive=archive,
        files=files,
        links=links,
        requirements=requirements,
        parts=dict(sorted(found.values())),
        about=About(
            commit=commit.id,
            dirty=commit.dirty,
            digest=archive.digest,
            schema=None if wanted is None else schema.stated(wanted),
        ),
        migrations=wanted,
    )


def _migrations(app: App, source: Path, archive: artefact.Artefact) -> list[schema.File] | None:
    if app.migrations is None:
        return None
    return migration_files.read(source, app.migrations, own=app.migrate is None, only=archive.files)


def findings(app: App, made: Plan) -> list[str]:
    """Return what is wrong with the app's tree: files where a release has ours, patterns without a file."""
    ours = [*made.links, "supervisor", "systemd", gates.FILE]
    in_the_way = [
        f"apps.{app.key}.source: has {path}, where each release has its own {place}; move it or rename it"
        for place in ours
        for path in made.archive.files
        if (path == place or path.startswith(f"{place}/")) and Path(path).name not in PLACEHOLDERS
    ]
    return [*in_the_way[:5], *parts.findings(app, made.archive)[:5]]


def _topmost(paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if not any(path.startswith(f"{other}/") for other in paths)]


def words(command: tuple[str, ...], environment: str) -> list[str]:
    program, *arguments = command
    return [program if program.startswith("/") else f"{environment}/bin/{program}", *arguments]


def _service_files(app: App, directories: dict[str, str], environment: str) -> dict[str, str]:
    if app.process_manager == "systemd":
        return _units(app, directories, environment)
    programs = [
        supervisor.Program(
            service=label,
            command=words(service.command, environment),
            directory=directories[label],
            stdout_log=f"{app.log_root}/{label}.log",
            stderr_log=f"{app.log_root}/{label}.err.log",
            environment=service.variables,
            start_seconds=service.start_seconds,
            stop_seconds=service.stop_seconds,
        )
        for label, service in app.services.items()
    ]
    return {f"supervisor/{one.service}.conf": supervisor.program_text(one) for one in programs}


def _units(app: App, directories: dict[str, str], environment: str) -> dict[str, str]:
    units = [
        systemd.Unit(
            unit=app.service_unit(label),
            app=app.key,
            service=label,
            command=words(service.command, environment),
            directory=directories[label],
            user=app.service_user,
            writable=[app.shared_root],
            env_file=app.env_file,
            watched=app.secret_paths,
            environment=service.variables,
            start_seconds=service.start_seconds,
            stop_seconds=service.stop_seconds,
        )
        for label, service in app.services.items()
    ]
    return {f"systemd/{one.unit}": systemd.unit_text(one) for one in units}
