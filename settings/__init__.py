"""The one typed, validated shape of all data: read by verbs, tasks and acceptance, never by operations."""

from settings.app_settings import AppSettings
from settings.errors import SettingsError
from settings.host import FirewallRule, FirewallSettings, SshSettings, SwapSettings
from settings.load import load
from settings.model import Settings
from settings.postgresql import PostgresqlSettings
from settings.secrets import SecretReference, SecretSource
from settings.service import DatabaseSettings, ServiceSettings

__all__ = [
    "AppSettings",
    "DatabaseSettings",
    "FirewallRule",
    "FirewallSettings",
    "PostgresqlSettings",
    "SecretReference",
    "SecretSource",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "SshSettings",
    "SwapSettings",
    "load",
]
