"""Settings of one app, as they are declared: its code, user, database, environment and services."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from settings.backup import BackupSettings
from settings.commands import Command
from settings.drill import DrillSettings
from settings.gates import Gates, findings
from settings.maintenance import MaintenanceSettings
from settings.minimum import MinimumSettings
from settings.names import UserName
from settings.secret_files import SecretFileSettings
from settings.secrets import SECRET_NAMES, SecretReference, SecretSource, VariableValue
from settings.service import DatabaseSettings, LogSettings, ServiceSettings
from settings.types import (
    AsTuple,
    FilePattern,
    InnerPath,
    Model,
    Slug,
    VariableName,
    pattern,
)
from settings.watched import WatchedPath
from settings.watched import findings as watched_findings

FileName = Annotated[
    str, pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*", "is not a plain file name; write it like 'config.local.json'")
]
# What else is in the app's configuration directory, and in a release.
OUR_CONFIG_FILES = ("env", "pgbouncer.ini", "pgbouncer.users", "secrets", "supervisord.conf")
OUR_RELEASE_FILES = ("supervisor", "systemd", "venv")


class AppSettings(Model):
    """
    One app. Its name, the key in `apps`, names its files, units and directories.

    + source: directory of the code on this machine, relative to the project or absolute
    + user: service user that runs everything, default the app's name
    + requirements: file in the source with hashed requirements, default "requirements.txt"
    + shared: directories that outlive releases, relative to the app, default ("logs",)
    + process_manager: "supervisor" (default; one of the app's own, under the unit <app>.service) or "systemd"
      (a unit for each service, logs in the journal)
    + database: default none
    + backup: how the database is backed up, default daily, proven weekly; None for not at all
    + migrate: command that applies pending migrations with the app's environment, default none
    + migrate_variables: environment variables for `migrate` alone, over `variables`: the database owner's
      role and password, and the port of the server itself where the app's own goes to its pool; needed where
      `migrate` and `database` are, default none
    + migrations: directory of ordered SQL files in the source, such as "migrations": hostwright applies them,
      or, where `migrate` is set, knows from them what is pending; default none
    + migration_lock_seconds: how long a statement of a migration may wait for a lock, each of 6 times, before
      the deploy fails, default 5
    + dump_before_migration: whether the database is dumped before a pending migration, default True
    + secrets: name to source, default none
    + prefix: what every environment variable begins with, default none
    + variables: the environment variables of all services, default none
    + produces: shared directory to seconds: its newest file must be at most this old, and every JSON file
      in it whole; asserted by acceptance, default none
    + env_example: file in the source that must name exactly the same variables, default none
    + config_files: files created once in the app's configuration directory, by its first deploy or by
      init.py, and never written again, name to content, default none
    + secret_files: JSON files with secrets in the app's configuration directory, 0600 and the service user's,
      name to content; written again when they differ; default none
    + watched: what else is configuration, beside all in its configuration directory and its units: files or
      directories, absolute or relative to the app's directory; the guard records who changes them, default
      none
    + maintenance: how it is told to take nothing new before a release is switched, default none
    + drill: what must be as it was after a crash, for drill.py, default none
    + common_files: paths in the source, as in a service's `files`, that belong to every service which has
      `files`, default none
    + minimum: what the host must have, default nothing
    + services: at least one
    + gates: what must hold after a change, beside what follows from the rest, default none
    + gate_seconds: until every gate must have passed, default 30
    + gate_stays: seconds that services must stay up without a restart, default 3
    + logs: rotation
    + keep_releases: releases kept beyond the current one, 1 to 50, default 4
    """

    source: str
    user: UserName | None = None
    requirements: InnerPath = "requirements.txt"
    shared: Annotated[tuple[InnerPath, ...], AsTuple] = ("logs",)
    log_directory: InnerPath = "logs"
    process_manager: Literal["supervisor", "systemd"] = "supervisor"
    database: DatabaseSettings | None = None
    backup: BackupSettings | None = BackupSettings()
    migrate: Command | None = None
    migrate_variables: dict[VariableName, VariableValue] = {}
    migrations: InnerPath | None = None
    migration_lock_seconds: Annotated[int, Field(ge=1, le=600)] = 5
    dump_before_migration: bool = True
    secrets: dict[Slug, SecretSource] = {}
    prefix: str = ""
    variables: dict[VariableName, VariableValue] = {}
    produces: dict[InnerPath, Annotated[int, Field(ge=1)]] = {}
    env_example: InnerPath | None = None
    config_files: dict[FileName, str] = {}
    secret_files: dict[FileName, SecretFileSettings] = {}
    watched: Annotated[tuple[WatchedPath, ...], AsTuple] = ()
    maintenance: MaintenanceSettings | None = None
    drill: DrillSettings | None = None
    minimum: MinimumSettings | None = None
    common_files: Annotated[tuple[FilePattern, ...], AsTuple] = ()
    services: Annotated[dict[Slug, ServiceSettings], Field(min_length=1)]
    gates: Gates = ()
    gate_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    gate_stays: Annotated[int, Field(ge=1, le=600)] = 3
    logs: LogSettings = LogSettings()
    keep_releases: Annotated[int, Field(ge=1, le=50)] = 4

    @model_validator(mode="before")
    @classmethod
    def _owner_has_a_password(cls, value: Any) -> Any:
        database = value.get("database") if isinstance(value, dict) else None
        if not isinstance(database, dict) or not isinstance(secrets := value.get("secrets", {}), dict):
            return value
        name = database.get("owner_password", DatabaseSettings.model_fields["owner_password"].default)
        return {**value, "secrets": {**secrets, name: secrets.get(name, {"source": "generated"})}}

    @model_validator(mode="after")
    def _consistent(self) -> AppSettings:
        wanted = _secrets(self.variables)
        wanted += [one for file in self.secret_files.values() for one in file.secrets()]
        if wrong := self._owner_findings(wanted):
            raise ValueError(wrong[0])
        wanted += _secrets(self.migrate_variables)
        if self.database is not None:
            wanted.append(self.database.password)
            if self.database.reader_password is not None:
                wanted.append(self.database.reader_password)
        for secret in wanted:
            if secret not in self.secrets:
                raise ValueError(
                    f"secret {secret!r} is used but not declared; add it: "
                    f"'secrets': {{{secret!r}: {{'source': 'generated'}}}}"
                )
        names = {*self.variables, *(key for one in self.services.values() for key in one.variables)}
        names |= self.migrate_variables.keys()
        for variable in sorted(names):
            if not variable.startswith(self.prefix):
                raise ValueError(f"variable {variable!r} does not begin with the prefix {self.prefix!r}")
            given = [one.get(variable) for one in (self.variables, self.migrate_variables) if variable in one]
            if SECRET_NAMES.search(variable) and not all(isinstance(one, SecretReference) for one in given):
                raise ValueError(f"variable {variable!r} is a secret by its name; write {{'secret': NAME}}")
        if self.migrations is not None and self.database is None:
            raise ValueError("'migrations' are applied to a database; declare 'database'")
        if self.database is None and self.backup is not None and "backup" in self.model_fields_set:
            raise ValueError("'backup' is of a database; declare 'database', or remove it")
        if self.log_directory not in self.shared and self.process_manager == "supervisor":
            raise ValueError(
                f"log_directory {self.log_directory!r} must be one of 'shared', it outlives releases"
            )
        for path in self.shared:
            if path.split("/")[0] in OUR_RELEASE_FILES:
                raise ValueError(
                    f"shared directory {path!r} is a place of ours in each release; choose another"
                )
        for path in (*self.config_files, *self.secret_files):
            if path in OUR_CONFIG_FILES:
                raise ValueError(f"config file {path!r} is one of ours; choose another name")
            if path in self.config_files and path in self.secret_files:
                raise ValueError(f"{path!r} is in 'config_files' and in 'secret_files'; declare it once")
        if self.common_files and all(one.files is None for one in self.services.values()):
            raise ValueError(
                "'common_files' is for services that have 'files', and none has: each restarts with every "
                "change of the source; give them 'files', or remove it"
            )
        for label, service in self.services.items():
            if service.files == () and not self.common_files:
                raise ValueError(f"service {label!r} has no 'files' at all; name them, or leave 'files' out")
        if wrong := watched_findings(self.watched, (self.log_directory, *self.produces)):
            raise ValueError(wrong[0])
        if wrong := self._gate_findings():
            raise ValueError("; ".join(wrong))
        if self.drill is not None:
            health = [label for label, one in self.services.items() if one.health is not None]
            units = self.process_manager == "systemd"
            if wrong := self.drill.findings(health, units=units, database=self.database is not None):
                raise ValueError(f"drill: {wrong[0]}")
        if self.maintenance is not None:
            ports = {label: one.port for label, one in self.services.items() if one.port is not None}
            if wrong := self.maintenance.findings(ports, self.shared, self.database is not None):
                raise ValueError(f"maintenance: {wrong[0]}")
        for path in self.produces:
            if path not in self.shared:
                raise ValueError(f"produces {path!r}: is not one of 'shared'; add it there")
        return self

    def _owner_findings(self, of_services: list[str]) -> list[str]:
        if self.migrate_variables and self.migrate is None:
            return ["'migrate_variables' are for the command 'migrate', and there is none; remove them"]
        if self.database is None:
            return []
        secret = self.database.owner_password
        if secret in of_services:
            return [
                f"secret {secret!r} is the database owner's password, and services must not have it; "
                "give it to 'migrate' alone, in 'migrate_variables'"
            ]
        if self.migrate is not None and secret not in _secrets(self.migrate_variables):
            return [
                f"'migrate' makes tables as the database's owner, {self.database.owner!r}; give it that role "
                f"and its password in 'migrate_variables', such as "
                f"{{'{self.prefix}DB_USER': {self.database.owner!r}, "
                f"'{self.prefix}DB_PASS': {{'secret': {secret!r}}}}}"
            ]
        return []

    def _gate_findings(self) -> list[str]:
        if self.gate_stays >= self.gate_seconds:
            return [f"gate_stays {self.gate_stays} is not less than gate_seconds {self.gate_seconds}"]
        database, seconds = self.database is not None, self.gate_seconds
        found = findings(self.gates, service=False, port=None, database=database, seconds=seconds)
        for label, one in self.services.items():
            own = findings(one.gates, service=True, port=one.port, database=database, seconds=seconds)
            found += [f"services.{label}.{finding}" for finding in own]
        return found


def _secrets(variables: dict[str, str | SecretReference]) -> list[str]:
    return [value.secret for value in variables.values() if isinstance(value, SecretReference)]
