"""Where an app lives on a host: its user, its directories, its secrets and its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyinfra.api.deploy import deploy
from pyinfra.api.operation import OperationMeta

from operations import accounts, atomic, directories, names, secrets
from operations.directories import Directory
from operations.secrets import Variable
from settings import SecretReference
from settings.app import App
from settings.secret_values import given
from tasks.origin import comes_from


@comes_from("apps.{app.key}")
@deploy("User and places")
def make(app: App) -> None:
    """The service user, and the app's directories."""
    user = app.service_user
    names.free(
        name=f"Check that {app.key} and {user} are nobody else's",
        app=app.key,
        user=user,
        home=app.root,
    )
    accounts.system_user(name=f"Create the service user {user}", user=user, home=app.root)
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


@comes_from("apps.{app.key}.config_files")
@deploy("Configuration files")
def initialise(app: App) -> list[OperationMeta]:
    """Configuration files that are made once: one that is there is nobody's to write again."""
    return [
        atomic.file(
            name=f"Create {path} of {app.key} once",
            path=f"{app.config_root}/{path}",
            content=content,
            group=app.service_user,
            mode="0640",
            replace=False,
        )
        for path, content in app.config_files.items()
    ]


def _with_parents(paths: tuple[str, ...]) -> list[str]:
    parents = {str(parent) for path in paths for parent in Path(path).parents if str(parent) != "."}
    return sorted({*paths, *parents})


@comes_from("apps.{app.key}.secrets")
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
        variables=variables(app.variables),
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


def variables(declared: Mapping[str, str | SecretReference]) -> list[Variable]:
    """Return declared variables as an environment file takes them, secrets by their names."""
    return [
        (key, "secret", value.secret) if isinstance(value, SecretReference) else (key, "text", value)
        for key, value in declared.items()
    ]
