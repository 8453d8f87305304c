"""The app's release: user and places, secrets and environment, code, packages, migrations, switch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyinfra import host
from pyinfra.api.deploy import deploy
from pyinfra.operations import server

import app_source
import artefact
from facts.release import About
from operations import (
    atomic,
    directories,
    migration_files,
    migrations,
    names,
    release,
    schema,
    secrets,
    supervisor,
    systemd,
    trial,
    venv,
)
from operations.directories import Directory
from operations.secrets import Variable
from settings import SecretReference
from settings.app import App
from settings.secret_values import given
from tasks import gates, maintenance, parts

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


def plan(app: App, project: Path, *, database_port: int = 5432) -> Plan:
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


def _words(command: tuple[str, ...], environment: str) -> list[str]:
    program, *arguments = command
    return [program if program.startswith("/") else f"{environment}/bin/{program}", *arguments]


def _service_files(app: App, directories: dict[str, str], environment: str) -> dict[str, str]:
    if app.process_manager == "systemd":
        return _units(app, directories, environment)
    programs = [
        supervisor.Program(
            service=label,
            command=_words(service.command, environment),
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
            command=_words(service.command, environment),
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


def _variables(app: App) -> list[Variable]:
    return [
        (key, "secret", value.secret) if isinstance(value, SecretReference) else (key, "text", value)
        for key, value in app.variables.items()
    ]


@deploy("User and places")
def places(app: App) -> None:
    """The service user, the app's directories, and configuration files that are made only once."""
    user = app.service_user
    names.free(
        name=f"Check that {app.key} and {user} are nobody else's",
        app=app.key,
        user=user,
        home=app.root,
    )
    server.user(
        name=f"Create the service user {user}",
        user=user,
        home=app.root,
        create_home=False,
        ensure_home=False,
        shell="/usr/sbin/nologin",
        system=True,
    )
    directories.present(
        name=f"Make the directories of {app.key}",
        directories=[
            Directory(app.root),
            Directory(f"{app.root}/releases"),
            Directory(f"{app.root}/parts"),
            Directory(f"{app.root}/venvs"),
            Directory(app.shared_root),
            *(
                Directory(f"{app.shared_root}/{path}", user, user, "0750")
                for path in _with_parents(app.shared)
            ),
            Directory(app.config_root, "root", user, "0750"),
            Directory(app.secrets_root, mode="0700"),
        ],
    )
    for path, content in app.config_files.items():
        atomic.file(
            name=f"Create {path} once",
            path=f"{app.config_root}/{path}",
            content=content,
            group=user,
            mode="0640",
            replace=False,
        )


def _with_parents(paths: tuple[str, ...]) -> list[str]:
    parents = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
    return sorted({*paths, *parents})


@deploy("Secrets")
def keep_secrets(app: App, project: Path) -> None:
    """Secrets on the host, and the environment file that holds them."""
    secrets.store(
        name=f"Keep the secrets of {app.key}",
        directory=app.secrets_root,
        given=given(app, project),
        generated={key: one.length for key, one in app.secrets.items() if one.source == "generated"},
    )
    secrets.env_file(
        name=f"Write {app.env_file}",
        path=app.env_file,
        variables=_variables(app),
        secrets_directory=app.secrets_root,
    )
    for path, file in app.secret_files.items():
        secrets.json_file(
            name=f"Write {app.config_root}/{path}",
            path=f"{app.config_root}/{path}",
            content=file.content,
            secrets_directory=app.secrets_root,
            user=app.service_user,
            group=app.service_user,
        )


@deploy("Release")
def apply(app: App, made: Plan, cluster: str | None = None) -> None:
    """Code and packages onto the host, migrations, and the switch."""
    venv.built(
        name=f"Install the packages of {app.key}",
        app_dir=app.root,
        requirements=made.requirements,
    )
    release.unpacked(
        name=f"Unpack release {made.release} of {app.key}",
        app_dir=app.root,
        release=made.release,
        archive=str(made.archive.path),
        sha256=made.archive.sha256,
        digest=made.archive.digest,
        files=made.files,
        links=made.links,
        parts=made.parts,
        about=made.about,
        validate=systemd.unit_check() if app.process_manager == "systemd" else supervisor.program_check(),
    )
    if app.migrate is not None or made.migrations is not None:
        _migrate(app, made, cluster)
    maintenance.enter(app=app, release=made.release, drain=host.data.get("drain") != "no")
    release.current(
        name=f"Switch {app.key} to release {made.release}",
        app_dir=app.root,
        release=made.release,
    )


def _migrate(app: App, made: Plan, cluster: str | None) -> None:
    mine = app.database

    def dump_directory() -> str:
        return f"{trial.snapshot(host)}/dumps/{app.key}"

    migrations.applied(
        name=f"Apply pending migrations of {app.key}",
        app_dir=app.root,
        release=made.release,
        command=None if app.migrate is None else _words(app.migrate, made.links["venv"]),
        user=app.service_user,
        env_file=app.env_file,
        directory=app.migrations,
        files=made.migrations,
        database=None if mine is None else mine.database,
        role=None if mine is None else mine.role,
        password_file=None if mine is None else f"{app.secrets_root}/{mine.password}",
        cluster=cluster,
        lock_seconds=app.migration_lock_seconds,
        dump_to=dump_directory if app.dump_before_migration else None,
    )


@deploy("Prune")
def prune(app: App) -> None:
    """Old releases, once the new one runs."""
    release.pruned(
        name=f"Keep {app.keep_releases} earlier releases of {app.key}",
        app_dir=app.root,
        keep=app.keep_releases,
    )
