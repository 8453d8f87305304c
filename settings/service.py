"""Settings of an app's parts: each service, its database, its logs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from settings.commands import Command
from settings.gates import Gates
from settings.indexes import IndexSettings
from settings.names import DatabaseName, RoleName
from settings.pool import PoolSettings
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
    The app's own database on this host, and the three roles that use it.

    + database: name
    + role: the app's; it reads and writes rows, and makes or drops nothing
    + password: name of the secret that is the role's password, default "db_password"
    + owner: role that owns database, schema and tables and is used for migrations alone, default
      "<database>_owner"
    + owner_password: name of the secret that is the owner's password, default "db_owner_password"; one that
      is not among the app's `secrets` is generated on the host
    + reader: role that reads every table and writes none, default "<database>_reader"; people's own roles
      can be members of it
    + reader_password: name of the secret that is the reader's password, default none: it does not log in
    + also: what the app's role may do besides, of "TEMPORARY" (tables of a session), "TRUNCATE", "REFERENCES"
      and "TRIGGER", default none
    + extensions: names, default none
    + connection_limit: connections the role may hold, default -1 (no limit)
    + tables: names of tables in schema public that must be there; asserted by acceptance, default none
    + pool: a pgbouncer of the app's own, default none
    + indexes: made concurrently where they are missing, after the migrations, default none
    + time_columns: table to the column that says when a row was made, so that a restore can tell what would
      be lost, default none; a table of another schema is written "schema.table"
    + wipe_when: SELECT that gives true when the data may be emptied by wipe.py, default none: never
    """

    database: DatabaseName
    role: RoleName
    password: str = "db_password"
    owner: RoleName
    owner_password: str = "db_owner_password"
    reader: RoleName
    reader_password: str | None = None
    also: Annotated[tuple[Literal["TEMPORARY", "TRUNCATE", "REFERENCES", "TRIGGER"], ...], AsTuple] = ()
    extensions: Annotated[tuple[ExtensionName, ...], AsTuple] = ()
    connection_limit: Annotated[int, Field(ge=-1)] = -1
    tables: Annotated[tuple[Line, ...], AsTuple] = ()
    pool: PoolSettings | None = None
    indexes: Annotated[tuple[IndexSettings, ...], AsTuple] = ()
    time_columns: dict[Line, Line] = {}
    wipe_when: Annotated[str, Field(pattern=r"(?is)^\s*select\b[^;]*$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_after_it(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("database"), str):
            return value
        name = value["database"]
        return {"owner": f"{name}_owner", "reader": f"{name}_reader", **value}

    @model_validator(mode="after")
    def _three_roles(self) -> DatabaseSettings:
        if len(set(self.roles)) < len(self.roles):
            raise ValueError(
                f"'owner', 'role' and 'reader' are {', '.join(map(repr, self.roles))}; "
                "give each a name of its own"
            )
        if len({self.password, self.owner_password, self.reader_password}) < 3:
            raise ValueError("two roles have the same secret as password; give each its own")
        return self

    @property
    def roles(self) -> list[str]:
        """All three roles: the owner, the app's, the reader."""
        return [self.owner, self.role, self.reader]

    @property
    def logins(self) -> list[str]:
        """The roles that log in: the app's, the owner, and a reader that has a password."""
        return [self.role, self.owner, *([self.reader] if self.reader_password is not None else [])]

    @model_validator(mode="after")
    def _room_in_the_pool(self) -> DatabaseSettings:
        if self.pool is not None and 0 <= self.connection_limit <= self.pool.size:
            raise ValueError(
                f"connection_limit {self.connection_limit} leaves nothing beside the {self.pool.size}"
                " connections of the pool; gates and migrations go to the server itself, so make it larger"
            )
        return self


class LogSettings(Model):
    """
    Rotation of the services' logs.

    + keep: rotated files that are kept, one a day, default 7
    """

    keep: Annotated[int, Field(ge=1, le=365)] = 7
