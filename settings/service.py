"""Settings of an app's parts: each service, its database, its logs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from settings.commands import Command
from settings.gates import Gates
from settings.names import DatabaseName, RoleName
from settings.secrets import SECRET_NAMES, VariableText
from settings.types import AsTuple, ExtensionName, FilePattern, Line, Model, Port, VariableName


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
    + files: paths in the source, with `*`, `?`, `[...]` and `**`, whose change restarts it; a directory
      stands for all in it; the app's `common_files` belong to them; default None, the whole source
    + gates: what must hold of it after a change, beside running, `health` and `page_contains`, default none
    """

    command: Command
    port: Port | None = None
    public: bool = False
    health: Annotated[str, Field(pattern=r"^/")] | None = None
    page_contains: str | None = None
    variables: dict[VariableName, VariableText] = {}
    start_seconds: Annotated[int, Field(ge=1, le=600)] = 3
    stop_seconds: Annotated[int, Field(ge=1, le=600)] = 10
    files: Annotated[tuple[FilePattern, ...], AsTuple] | None = None
    gates: Gates = ()

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
    + tables: names of tables in schema public that must be there; asserted by acceptance, default none
    """

    database: DatabaseName
    role: RoleName
    password: str = "db_password"
    extensions: Annotated[tuple[ExtensionName, ...], AsTuple] = ()
    connection_limit: Annotated[int, Field(ge=-1)] = -1
    tables: Annotated[tuple[Line, ...], AsTuple] = ()


class LogSettings(Model):
    """
    Rotation of the services' logs.

    + keep: rotated files that are kept, one a day, default 7
    """

    keep: Annotated[int, Field(ge=1, le=365)] = 7
