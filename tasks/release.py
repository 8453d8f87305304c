"""The app's release: user and places, secrets and environment, code, packages, migrations, switch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyinfra.api.deploy import deploy
from pyinfra.operations import server

import app_source
import artefact
from operations import atomic, directories, migrations, names, release, secrets, supervisor, venv
from operations.directories import Directory
from operations.secrets import Variable
from settings import SecretReference
from settings.app import App
from settings.secret_values import given

# Stands for the release's own name while the name is made from what is in it.
STAND_IN = "RELEASE"
# Files that only keep a directory in git; the directory may become a link.
PLACEHOLDERS = (".gitkeep", ".gitignore", ".keep")


class Plan(NamedTuple):
    """What a release is made of, the same for every host of a run."""

    release: str
    archive: artefact.Artefact
    files: dict[str, str]
    links: dict[str, str]
    requirements: str


def plan(app: App, project: Path) -> Plan:
    """Make the app's artefact and everything that joins it, and name the release after all of it."""
    source = app_source.directory(app, project)
    archive = artefact.once(source)
    requirements = (source / app.requirements).read_text(encoding="utf-8")
    links = {"venv": f"{app.root}/venvs/{venv.digest(requirements)}"}
    links |= {path: f"{app.shared_root}/{path}" for path in _topmost(app.shared)}
    identity = release.identity(archive.digest, _service_files(app, STAND_IN, links["venv"]), links)
    key = identity[:12]
    return Plan(key, archive, _service_files(app, key, links["venv"]), links, requirements)


def findings(app: App, made: Plan) -> list[str]:
    """Return which files of the app's own tree stand where a release has files or links of ours."""
    ours = [*made.links, "supervisor"]
    return [
        f"apps.{app.key}.source: has {path}, where each release has its own {place}; move it or rename it"
        for place in ours
        for path in made.archive.files
        if (path == place or path.startswith(f"{place}/")) and Path(path).name not in PLACEHOLDERS
    ][:5]


def _topmost(paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if not any(path.startswith(f"{other}/") for other in paths)]


def _words(command: tuple[str, ...], environment: str) -> list[str]:
    program, *arguments = command
    return [program if program.startswith("/") else f"{environment}/bin/{program}", *arguments]


def _service_files(app: App, key: str, environment: str) -> dict[str, str]:
    programs = [
        supervisor.Program(
            service=label,
            command=_words(service.command, environment),
            directory=f"{app.root}/releases/{key}",
            stdout_log=f"{app.log_root}/{label}.log",
            stderr_log=f"{app.log_root}/{label}.err.log",
            environment=service.variables,
            start_seconds=service.start_seconds,
            stop_seconds=service.stop_seconds,
        )
        for label, service in app.services.items()
    ]
    return {f"supervisor/{one.service}.conf": supervisor.program_text(one) for one in programs}


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


@deploy("Release")
def apply(app: App, made: Plan) -> None:
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
        validate=supervisor.program_check(),
    )
    if app.migrate is not None:
        migrations.applied(
            name=f"Apply pending migrations of {app.key}",
            app_dir=app.root,
            release=made.release,
            command=_words(app.migrate, made.links["venv"]),
            user=app.service_user,
            env_file=app.env_file,
        )
    release.current(
        name=f"Switch {app.key} to release {made.release}",
        app_dir=app.root,
        release=made.release,
    )


@deploy("Prune")
def prune(app: App) -> None:
    """Old releases, once the new one runs."""
    release.pruned(
        name=f"Keep {app.keep_releases} earlier releases of {app.key}",
        app_dir=app.root,
        keep=app.keep_releases,
    )
