"""Settings of one app: its code, user, database, environment and services."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from settings.names import DatabaseName, RoleName, UserName
from settings.secrets import SECRET_NAMES, SecretReference, SecretSource, VariableText, VariableValue
from settings.types import (
    AbsolutePath,
    AsTuple,
    ExtensionName,
    InnerPath,
    Line,
    Model,
    Port,
    Slug,
    VariableName,
    pattern,
)


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"cannot be split into words ({error}); close the quote, or write a list") from None


def _command(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not value[0].strip():
        raise ValueError("is empty: a service needs a command, such as 'python -m my_app.web'")
    if "/" in value[0] and not value[0].startswith("/"):
        raise ValueError(
            f"begins with {value[0]!r}; write a program of the virtual environment, or an absolute path"
        )
    return value


Command = Annotated[tuple[Line, ...], AsTuple, BeforeValidator(_words), AfterValidator(_command)]
FileName = Annotated[
    str, pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*", "is not a plain file name; write it like 'config.local.json'")
]
# What else is in the app's configuration directory, and in a release.
OUR_CONFIG_FILES = ("env", "secrets", "supervisord.conf")
OUR_RELEASE_FILES = ("supervisor", "venv")


class ServiceSettings(Model):
    """
    One supervised process.

    + command: text or list of words; the first is absolute or a program of the app's virtual environment
    + port: TCP port that it listens on, default none
    + public: whether the port may be reached from other machines, default False
    + health: path that must answer 200 on that port, such as "/health", default none
    + page_contains: text that the page at / must contain, default none
    + variables: environment variables of this service alone, over the app's, default none
    + start_seconds: how long it must stay up to count as RUNNING, default 3
    + stop_seconds: how long it may take to stop after SIGTERM, default 10
    """

    command: Command
    port: Port | None = None
    public: bool = False
    health: Annotated[str, Field(pattern=r"^/")] | None = None
    page_contains: str | None = None
    variables: dict[VariableName, VariableText] = {}
    start_seconds: Annotated[int, Field(ge=1, le=600)] = 3
    stop_seconds: Annotated[int, Field(ge=1, le=600)] = 10

    @field_validator("variables")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        # They go into a file that every user of the host may read.
        for variable in value:
            if SECRET_NAMES.search(variable):
                raise ValueError(
                    f"{variable!r} is a secret by its name; declare it in the app's own 'variables'"
                )
        return value

    @model_validator(mode="after")
    def _needs_port(self) -> ServiceSettings:
        for field in ("health", "page_contains", "public"):
            if getattr(self, field) and self.port is None:
                raise ValueError(f"{field!r} needs 'port', the port that it is asked on")
        return self


class DatabaseSettings(Model):
    """
    The app's own database and role on this host.

    + database, role: names; the role owns the database
    + password: name of the secret that is the role's password, default "db_password"
    + extensions: names, default none
    + connection_limit: connections the role may hold, default -1 (no limit)
    """

    database: DatabaseName
    role: RoleName
    password: str = "db_password"
    extensions: Annotated[tuple[ExtensionName, ...], AsTuple] = ()
    connection_limit: Annotated[int, Field(ge=-1)] = -1


class LogSettings(Model):
    """
    Rotation of the services' logs.

    + keep: rotated files that are kept, one a day, default 7
    """

    keep: Annotated[int, Field(ge=1, le=365)] = 7


class AppSettings(Model):
    """
    One app. Its name, the key in `apps`, names its files, units and directories.

    + source: directory of the code on this machine, relative to the project or absolute
    + user: service user that runs everything, default the app's name
    + requirements: file in the source with hashed requirements, default "requirements.txt"
    + shared: directories that outlive releases, relative to the app, default ("logs",)
    + database: default none
    + migrate: command that applies pending migrations with the app's environment, default none
    + secrets: name to source, default none
    + prefix: what every environment variable begins with, default none
    + variables: the environment variables of all services, default none
    + produces: shared directory to seconds: its newest file must be at most this old, and every JSON file
      in it whole; asserted by acceptance, default none
    + env_example: file in the source that must name exactly the same variables, default none
    + config_files: files created once in the app's configuration directory when missing and never
      written again, name to content, default none
    + services: at least one
    + logs: rotation
    + keep_releases: releases kept beyond the current one, 1 to 50, default 4
    """

    source: str
    user: UserName | None = None
    requirements: InnerPath = "requirements.txt"
    shared: Annotated[tuple[InnerPath, ...], AsTuple] = ("logs",)
    log_directory: InnerPath = "logs"
    process_manager: Literal["supervisor"] = "supervisor"
    database: DatabaseSettings | None = None
    migrate: Command | None = None
    secrets: dict[Slug, SecretSource] = {}
    prefix: str = ""
    variables: dict[VariableName, VariableValue] = {}
    produces: dict[InnerPath, Annotated[int, Field(ge=1)]] = {}
    env_example: InnerPath | None = None
    config_files: dict[FileName, str] = {}
    services: Annotated[dict[Slug, ServiceSettings], Field(min_length=1)]
    logs: LogSettings = LogSettings()
    keep_releases: Annotated[int, Field(ge=1, le=50)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> AppSettings:
        wanted = [value.secret for value in self.variables.values() if isinstance(value, SecretReference)]
        if self.database is not None:
            wanted.append(self.database.password)
        for secret in wanted:
            if secret not in self.secrets:
                raise ValueError(
                    f"secret {secret!r} is used but not declared; add it: "
                    f"'secrets': {{{secret!r}: {{'source': 'generated'}}}}"
                )
        names = {*self.variables, *(key for one in self.services.values() for key in one.variables)}
        for variable in sorted(names):
            if not variable.startswith(self.prefix):
                raise ValueError(f"variable {variable!r} does not begin with the prefix {self.prefix!r}")
            if SECRET_NAMES.search(variable) and not isinstance(
                self.variables.get(variable), SecretReference
            ):
                raise ValueError(f"variable {variable!r} is a secret by its name; write {{'secret': NAME}}")
        if self.log_directory not in self.shared:
            raise ValueError(
                f"log_directory {self.log_directory!r} must be one of 'shared', it outlives releases"
            )
        for path in self.shared:
            if path.split("/")[0] in OUR_RELEASE_FILES:
                raise ValueError(
                    f"shared directory {path!r} is a place of ours in each release; choose another"
                )
        for path in self.config_files:
            if path in OUR_CONFIG_FILES:
                raise ValueError(f"config file {path!r} is one of ours; choose another name")
        for path in self.produces:
            if path not in self.shared:
                raise ValueError(f"produces {path!r}: is not one of 'shared'; add it there")
        return self


class App(AppSettings):
    """An app's settings with its name, and every place that follows from it."""

    key: Slug
    root: AbsolutePath

    @property
    def service_user(self) -> str:
        """The user that runs everything of this app."""
        return self.user if self.user is not None else self.key

    @property
    def shared_root(self) -> str:
        """The directory whose content outlives releases."""
        return f"{self.root}/shared"

    @property
    def log_root(self) -> str:
        """The directory of the services' logs."""
        return f"{self.shared_root}/{self.log_directory}"

    @property
    def config_root(self) -> str:
        """The directory of the environment file and configuration files."""
        return f"/etc/{self.key}"

    @property
    def secrets_root(self) -> str:
        """The directory of the secrets, readable by root alone."""
        return f"{self.config_root}/secrets"

    @property
    def env_file(self) -> str:
        """The environment file, read by systemd for the services."""
        return f"{self.config_root}/env"

    @property
    def supervisor_config(self) -> str:
        """The configuration that every supervisorctl call names."""
        return f"{self.config_root}/supervisord.conf"

    @property
    def unit(self) -> str:
        """The systemd unit that runs the app's supervisor."""
        return f"{self.key}.service"

    @classmethod
    def of(cls, key: str, settings: AppSettings) -> App:
        """Return the settings of one app with its name and places."""
        values: dict[str, Any] = {field: getattr(settings, field) for field in AppSettings.model_fields}
        return cls.model_construct(**values, key=key, root=f"/opt/{key}")
