"""All settings of one host, and what must hold between them."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from settings.app import App, AppSettings
from settings.host import FirewallSettings, SshSettings, SwapSettings
from settings.postgresql import PostgresqlSettings
from settings.types import AsTuple, Model, PackageName, Slug


class Settings(Model):
    """
    Everything that is declared for one host.

    + environment: the inventory's name, such as "staging"; checked against the inventory file
    + packages: Debian packages beyond those that the layers need themselves, default none
    + upgrade: install pending package upgrades, default True
    + ssh, swap, firewall, postgresql: see there; `swap` None leaves swap alone
    + apps: name to app; several may share one host
    """

    environment: Slug
    packages: Annotated[tuple[PackageName, ...], AsTuple] = ()
    upgrade: bool = True
    ssh: SshSettings = SshSettings()
    swap: SwapSettings | None = SwapSettings()
    firewall: FirewallSettings = FirewallSettings()
    postgresql: PostgresqlSettings = PostgresqlSettings()
    apps: dict[Slug, AppSettings] = {}

    @model_validator(mode="after")
    def _nothing_twice(self) -> Settings:
        _unique_ports(self)
        owners: dict[str, str] = {}
        for key, app in self.apps.items():
            if app.database is None:
                continue
            for kind, value in (("database", app.database.database), ("role", app.database.role)):
                other = owners.setdefault(f"{kind} {value}", key)
                if other != key:
                    raise ValueError(
                        f"apps.{key}.database.{kind}: {value!r} is already the one of app {other!r}"
                    )
        return self

    def all_apps(self) -> list[App]:
        """Return the apps with their names and places, in the order in which they are declared."""
        return [App.of(key, app) for key, app in self.apps.items()]

    def public_ports(self) -> dict[int, str]:
        """Return port to "app/service" for every service that may be reached from other machines."""
        return {
            service.port: f"{key}/{label}"
            for key, app in self.apps.items()
            for label, service in app.services.items()
            if service.public and service.port is not None
        }


def _unique_ports(settings: Settings) -> None:
    users = {settings.ssh.port: "ssh.port"}
    taken = [("postgresql.port", settings.postgresql.port)]
    taken += [
        (f"apps.{key}.services.{label}.port", service.port)
        for key, app in settings.apps.items()
        for label, service in app.services.items()
        if service.port is not None
    ]
    for place, port in taken:
        other = users.setdefault(port, place)
        if other != place:
            raise ValueError(f"{place}: port {port} is already used by {other}; choose another")
