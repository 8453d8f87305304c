"""All settings of one host, and what must hold between them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.app import App
from settings.app_settings import AppSettings
from settings.host import FirewallSettings, SshSettings, SwapSettings, TrialSettings
from settings.monitoring import EXPORTER_PORTS, HealthSettings, MonitoringSettings
from settings.names import AppName
from settings.postgresql import PostgresqlSettings
from settings.types import AsTuple, EnvironmentName, Model, PackageName, ReceiptKey


class Settings(Model):
    """
    Everything that is declared for one host.

    + environment: the inventory's name, such as "staging"; checked against the inventory file
    + packages: Debian packages beyond those that the layers need themselves, default none
    + install_recommends: also install what packages merely recommend, default False
    + upgrade: install pending package upgrades, default True
    + connector: how hosts are reached over SSH: "fast" (default: everything asked at once, over one channel
      that stays open), or "plain", pyinfra as it comes; HOSTWRIGHT_CONNECTOR says otherwise for one run
    + diagnose: look at a host before a run's first change and once it is confirmed, and tell what is worse
      (docs/diagnostics.md): some 5 s more for a run that changes it, none for others; default False
    + requires_receipt_from: environment whose acceptance suite must have passed with exactly what is deployed
      here, such as "staging", default None
    + receipt_hours: how old its receipt may be, 1 to 8760, default 72
    + receipt_keys: public keys of those whose receipts count (python -m receipts key), default the own one
    + trial, ssh, swap, firewall, postgresql: see there; `swap` None leaves swap alone
    + config_guard: record who changes the configuration of the apps, other than a run, default True
    + health: the gates of all apps, run on the host by a timer, default None: not at all
    + monitoring: Prometheus and its exporters, default None: none; it needs `health`, and has its defaults
      where that is None
    + apps: name to app; several may share one host
    """

    environment: EnvironmentName
    packages: Annotated[tuple[PackageName, ...], AsTuple] = ()
    install_recommends: bool = False
    upgrade: bool = True
    connector: Literal["fast", "plain"] = "fast"
    diagnose: bool = False
    requires_receipt_from: EnvironmentName | None = None
    receipt_hours: Annotated[int, Field(ge=1, le=8760)] = 72
    receipt_keys: Annotated[tuple[ReceiptKey, ...], AsTuple] = ()
    trial: TrialSettings = TrialSettings()
    ssh: SshSettings = SshSettings()
    swap: SwapSettings | None = SwapSettings()
    firewall: FirewallSettings = FirewallSettings()
    postgresql: PostgresqlSettings = PostgresqlSettings()
    config_guard: bool = True
    health: HealthSettings | None = None
    monitoring: MonitoringSettings | None = None
    apps: dict[AppName, AppSettings] = {}

    @model_validator(mode="after")
    def _nothing_twice(self) -> Settings:
        _unique_ports(self)
        owners: dict[str, str] = {}
        for key, app in self.apps.items():
            user = app.user if app.user is not None else key
            other = owners.setdefault(f"user {user}", key)
            if other != key:
                raise ValueError(
                    f"apps.{key}.user: {user!r} is already the one of app {other!r}; each needs its own"
                )
        for rule in self.firewall.allow:
            service = self.public_ports().get(rule.port) if rule.protocol == "tcp" else None
            if service is not None:
                raise ValueError(
                    f"firewall.allow: port {rule.port} is public already, for {service}; remove the rule"
                )
        _only_who_may_ask(self)
        for key, app in self.apps.items():
            if app.database is None:
                continue
            named = {"database": app.database.database, "owner": app.database.owner}
            named |= {"role": app.database.role, "reader": app.database.reader}
            for kind, value in named.items():
                other = owners.setdefault(f"{'role' if kind != 'database' else kind} {value}", key)
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
    users = {settings.postgresql.port: "postgresql.port"}
    taken = [
        (f"apps.{key}.services.{label}.port", service.port)
        for key, app in settings.apps.items()
        for label, service in app.services.items()
        if service.port is not None
    ]
    taken += [
        (f"apps.{key}.database.pool.port", app.database.pool.port)
        for key, app in settings.apps.items()
        if app.database is not None and app.database.pool is not None
    ]
    if settings.monitoring is not None:
        taken += [("monitoring", port) for port in settings.monitoring.ports]
    for place, port in taken:
        other = users.setdefault(port, place)
        if other != place:
            raise ValueError(f"{place}: port {port} is already used by {other}; choose another")


def _only_who_may_ask(settings: Settings) -> None:
    mine = settings.monitoring
    if mine is None or mine.listen is None:
        return
    if not settings.firewall.enabled:
        raise ValueError(
            f"monitoring.listen: {mine.listen} would be open to everybody in that network, for "
            "firewall.enabled is False; switch the firewall on"
        )
    for rule in settings.firewall.allow:
        if rule.protocol == "tcp" and rule.port in EXPORTER_PORTS:
            raise ValueError(
                f"firewall.allow: port {rule.port} is an exporter's, and monitoring.asked_by says who "
                "may ask it; remove the rule"
            )
