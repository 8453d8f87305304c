"""One app: what is declared of it, and every place on a host that follows from its name."""

from __future__ import annotations

from typing import Any

from settings.app_settings import AppSettings
from settings.backup import BackupSettings
from settings.pool import PoolSettings
from settings.types import AbsolutePath, Slug


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

    def service_unit(self, label: str) -> str:
        """Return the systemd unit of one service, for an app whose process manager is systemd."""
        return f"{self.key}.service" if label == self.key else f"{self.key}-{label}.service"

    @property
    def pool(self) -> PoolSettings | None:
        """The connection pool; None where there is none."""
        return None if self.database is None else self.database.pool

    @property
    def maintenance_service(self) -> str | None:
        """The service that is asked about maintenance; None where none has a port."""
        if self.maintenance is not None and self.maintenance.service is not None:
            return self.maintenance.service
        return next((label for label, one in self.services.items() if one.port is not None), None)

    @property
    def maintenance_flag(self) -> str | None:
        """The file that is there during maintenance, absolute."""
        return None if self.maintenance is None else f"{self.shared_root}/{self.maintenance.flag}"

    @property
    def backed_up(self) -> BackupSettings | None:
        """How its database is backed up; None where it is not, or where there is none."""
        return self.backup if self.database is not None else None

    @property
    def backup_root(self) -> str:
        """The directory of the database's backups."""
        return f"/var/backups/{self.key}"

    @property
    def supervised(self) -> bool:
        """Whether the app has a supervisor of its own."""
        return self.process_manager == "supervisor"

    @property
    def watched_paths(self) -> list[str]:
        """What else is configuration, absolute."""
        return [path if path.startswith("/") else f"{self.root}/{path}" for path in self.watched]

    @property
    def units(self) -> list[str]:
        """All systemd units of the app, whichever its process manager is."""
        if self.supervised:
            return [self.unit]
        return [self.service_unit(label) for label in self.services]

    @property
    def secret_paths(self) -> list[str]:
        """The JSON files with secrets, absolute."""
        return [f"{self.config_root}/{path}" for path in self.secret_files]

    @classmethod
    def of(cls, key: str, settings: AppSettings) -> App:
        """Return the settings of one app with its name and places."""
        values: dict[str, Any] = {field: getattr(settings, field) for field in AppSettings.model_fields}
        return cls.model_construct(**values, key=key, root=f"/opt/{key}")
